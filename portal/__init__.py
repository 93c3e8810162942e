"""Lockstep: a booking portal whose bookings and calendars never disagree."""
