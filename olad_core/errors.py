"""The root of every exception class of this project."""

from __future__ import annotations


class OladError(Exception):
    """Every exception class of this project is one of these, and of the built-in class that fits it too."""
