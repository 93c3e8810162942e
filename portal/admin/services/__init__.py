"""The services and their form."""
