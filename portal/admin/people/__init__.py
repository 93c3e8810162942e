"""Users, signing in, API tokens."""
