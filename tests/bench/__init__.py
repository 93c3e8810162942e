"""Benchmarks: `make bench` runs them all; each part also runs alone."""
