"""Joining a waitlist, one's place in it, an offer."""
