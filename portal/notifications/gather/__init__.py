"""Rows to facts: what the messages tell is read here."""
