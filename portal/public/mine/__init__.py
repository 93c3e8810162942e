"""A customer's own bookings, by a mailed code."""
