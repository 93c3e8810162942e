"""`make demo`: a made-up studio, with a calendar server of its own and, if wanted, a stand-in for Google."""
