"""The catalogs of all texts for customers: `es/` and `hu/`, made of the code by `make translations`."""
