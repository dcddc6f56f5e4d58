"""Positions of the log: the ids of its entries."""

from __future__ import annotations

import re
from typing import TypeAlias

START = "0-0"
"""The position before the first entry."""

PositionPair: TypeAlias = tuple[int, int]
_POSITION = re.compile(r"(?a:(\d{1,20})(?:-(\d{1,20}))?)")


def parse_position(text: str) -> PositionPair:
    """A position as a pair that compares in log order; a time alone means the first entry of that millisecond.

    >>> parse_position("1700000000000-3") < parse_position("1700000000000-10")
    True
    >>> parse_position("1700000000000")
    (1700000000000, 0)

    Raises:
        ValueError: where the text is no position.
    """
    match = _POSITION.fullmatch(text)
    pair = (int(match[1]), int(match[2] or 0)) if match else (-1, 0)
    if not 0 <= pair[0] < 2**64 or pair[1] >= 2**64:
        raise ValueError(f"{text!r} is no position: milliseconds, or milliseconds-sequence as POST /events answers")
    return pair


def position_text(position: PositionPair) -> str:
    """A position as it is written.

    >>> position_text((1700000000000, 3))
    '1700000000000-3'
    """
    return f"{position[0]}-{position[1]}"


def next_position(position: str) -> str:
    """The first position that an entry may have after this one.

    >>> next_position("1700000000000-3")
    '1700000000000-4'
    """
    milliseconds, sequence = parse_position(position)
    return position_text((milliseconds, sequence + 1))
