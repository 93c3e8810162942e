"""What the law lets customers ask for: their data, and that it be forgotten; and how long it is kept."""
