"""Accounts and calendars: connect, choose, refresh, disconnect."""
