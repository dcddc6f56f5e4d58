"""What a user meets: `olad up` as it is shipped, measured over HTTP alone. One file a family of rows."""
