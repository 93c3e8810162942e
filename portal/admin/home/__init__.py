"""Today: the agenda, and what needs somebody."""
