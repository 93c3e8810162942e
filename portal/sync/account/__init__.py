"""What a person asks of a connected account, to its disconnection; and what its page shows."""
