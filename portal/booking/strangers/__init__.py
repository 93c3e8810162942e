"""Visitors who have not shown yet that they can be reached: how much they may take, and how their mail confirms it."""
