"""Readers that turn a dataset into a stream of events."""
