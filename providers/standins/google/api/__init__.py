"""Its Calendar API: one request from its bytes to the bytes of the answer, and the methods about lists."""
