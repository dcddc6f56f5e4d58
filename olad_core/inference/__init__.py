"""Exact predictions for every node, kept fresh while the graph changes."""
