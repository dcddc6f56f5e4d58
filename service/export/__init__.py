"""Predictions and the graph in files."""
