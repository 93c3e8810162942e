"""Changes in: read, plan (pure), apply."""
