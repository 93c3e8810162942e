"""Push subscriptions, and whether they are heard."""
