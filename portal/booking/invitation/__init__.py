"""The appointment as customers put it into their own calendars, and its video meeting."""
