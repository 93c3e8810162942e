"""What must stand in a calendar for an appointment."""
