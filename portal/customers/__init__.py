"""Customers' own page, and what the law lets them ask for: their data, and that it be forgotten."""
