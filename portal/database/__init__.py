"""The two databases: engine and transactions, the tables' revision, SQLite's line of writers."""
