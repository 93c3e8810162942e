"""Dates and weekly series that staff set."""
