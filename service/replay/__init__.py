"""Sources of events, sending them, and scoring what was served."""
