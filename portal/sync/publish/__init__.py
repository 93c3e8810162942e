"""Ours outside: write, keep the receipt, write anew."""
