"""Keeping bookings and calendars in agreement: publish (ours outside), pull (changes in), reconcile (compare all).

Only `portal.sync.publish.publish` and `portal.sync.pull.pull` talk to providers, and never inside a transaction; `portal.sync.pull.plan` decides,
pure; `portal.sync.pull.apply` writes what was decided.
"""
