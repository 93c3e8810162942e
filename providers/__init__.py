"""Outside systems behind small contracts. Nothing in here knows of `portal`: values in, values out."""
