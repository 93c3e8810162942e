"""Which installation this is: calendars, mails and reminders belong to the one that adopted them, and a copy of it sends nothing outside."""
