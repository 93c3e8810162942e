"""Facts in, message out; pure, for any way of sending."""
