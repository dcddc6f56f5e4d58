"""The archive: every log entry in compressed segments, written before the log is trimmed."""
