"""What `olad up` runs on one machine: processes, an embedded Redis, the data directory."""
