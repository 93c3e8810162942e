"""JSON for programs under `/api/v1`, and what monitoring asks."""
