"""Servers that behave like outside ones, for the demo, drills and tests. The portal itself imports none of them."""
