"""Queues, offers by hand, and why somebody was offered what."""
