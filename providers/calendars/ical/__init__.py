"""iCalendar objects to our words and back; what repeats is expanded here."""
