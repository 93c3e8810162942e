"""The business as a TOML file: reading it, applying it, writing it."""
