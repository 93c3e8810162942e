"""What the business is: its resources with their schedules, and its services. Loaded from forms or from a seed file."""
