"""The seed file: a whole business in one TOML file, read and checked as its fields are declared, put into the database, and written back."""
