"""The waitlist: who waits, what is offered to whom when seats become free, and why."""
