"""Google Calendar, and the sign-in to it."""
