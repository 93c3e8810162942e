"""The list of bookings, one booking, and what staff answer."""
