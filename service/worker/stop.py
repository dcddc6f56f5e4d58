"""The request to end, which arrives in a signal handler."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Stop:
    """Whether the worker is to end after its turn. A plain attribute: a signal handler may set it at any moment."""

    requested: bool = False
