"""Tuning: which settings learn most from some data in a given time."""
