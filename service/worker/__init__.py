"""The worker process: applies the log, publishes, learns, writes checkpoints."""
