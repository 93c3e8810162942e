"""Keeping bookings and calendars in agreement: publish (ours outside), pull (changes in), reconcile (compare all).

Only `publish` and `pull` talk to providers, and never inside a transaction; `plan` decides, pure; `apply` writes what was decided.
"""
