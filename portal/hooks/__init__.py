"""Calls from providers to us: a file each."""
