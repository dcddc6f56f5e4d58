"""Access rights of the files that processes of the service make."""

ONLY_FOR_THE_USER = 0o077
"""File mode creation mask of every process of the service."""
