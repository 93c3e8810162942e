"""Questions to staff about what happened in calendars."""
