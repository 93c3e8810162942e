"""Is it well? Doctor, invariants, vitals, keys; which installation this is to be."""
