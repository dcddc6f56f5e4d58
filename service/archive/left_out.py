"""Entries that a rebuilt history is without: ranges of positions, both ends included."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from service.store.positions import PositionPair, parse_position, position_text

_NAME = re.compile(r"left-out-(\d{1,20}-\d{1,20})_(\d{1,20}-\d{1,20})\.json", re.ASCII)


@dataclass(frozen=True, order=True)
class LeftOut:
    """A range of positions, both ends included."""

    first: PositionPair
    last: PositionPair

    def __contains__(self, position: PositionPair) -> bool:
        return self.first <= position <= self.last

    def __str__(self) -> str:
        return f"{position_text(self.first)}..{position_text(self.last)}"

    def covers(self, after: PositionPair, last: PositionPair) -> bool:
        """Whether all positions after one, up to another one, are left out."""
        return self.first <= (after[0], after[1] + 1) and last <= self.last

    @property
    def name(self) -> str:
        """Name of the file in the archive that records the range."""
        return f"left-out-{str(self).replace('..', '_')}.json"


def is_left_out(position: PositionPair, spans: Iterable[LeftOut]) -> bool:
    """Whether a position is in one of some ranges."""
    return any(position in span for span in spans)


def parse_left_out(text: str) -> LeftOut:
    """A range as a person writes it.

    >>> str(parse_left_out("1700000000000-3"))
    '1700000000000-3..1700000000000-3'
    >>> str(parse_left_out("1700000000000..1700000000009-1"))
    '1700000000000-0..1700000000009-1'

    Raises:
        ValueError: where the text is no range.
    """
    first, dots, last = text.partition("..")
    span = LeftOut(parse_position(first), parse_position(last if dots else first))
    if span.last < span.first:
        raise ValueError(f"{text!r} ends before it begins")
    return span


def left_out_of(name: str) -> LeftOut | None:
    """The range that a file of this name records; None where it records none."""
    match = _NAME.fullmatch(name)
    return parse_left_out(f"{match[1]}..{match[2]}") if match else None
