"""Calendars at outside systems. The contract is `base`; each provider has a folder."""
