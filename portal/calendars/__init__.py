"""Connections to calendar providers, the calendars chosen there, and the integrations page. Reading and writing them is `portal/sync`."""
