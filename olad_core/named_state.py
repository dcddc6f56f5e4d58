"""Many mappings in one: a name is that of its part, a slash and its name there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def join_parts(parts: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """All parts as one mapping.

    >>> join_parts({"graph": {"label": 1, "alive": 2}, "replay": {"rows": 3}})
    {'graph/label': 1, 'graph/alive': 2, 'replay/rows': 3}
    """
    return {f"{part}/{name}": value for part, own in parts.items() for name, value in own.items()}


def take_part(joined: Mapping[str, T], part: str) -> dict[str, T]:
    """One part of what :func:`join_parts` made; empty where there is none.

    >>> take_part({"graph/label": 1, "graph/alive": 2, "replay/rows": 3}, "graph")
    {'label': 1, 'alive': 2}
    """
    prefix = f"{part}/"
    return {name.removeprefix(prefix): value for name, value in joined.items() if name.startswith(prefix)}
