"""How an account does, and what changed while it was away."""
