"""The page of a service: picker of days and times, form, confirmation."""
