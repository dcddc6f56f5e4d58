"""Honest scores of what was predicted, and what is decided by them."""
