"""What is free, taken, full or joinable; from a wish to a place under the lock."""
