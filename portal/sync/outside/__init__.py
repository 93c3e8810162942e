"""What people did to our events outside, and the rule that answers."""
