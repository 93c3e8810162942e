"""Consent and tokens of accounts that sign in at their provider."""
