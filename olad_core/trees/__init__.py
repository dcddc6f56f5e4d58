"""Gradient-boosted trees on what a node and its neighbours show, grown beside the students."""
