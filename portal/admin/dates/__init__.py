"""Dates and weekly series that staff set, and one appointment."""
