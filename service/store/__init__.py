"""All of Redis: the log, predictions, schema, status."""
