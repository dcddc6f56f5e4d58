"""The order in which trees take turns, and what is known after the rounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

Figures = dict[str, float | str]
"""What one measurement found, by name."""


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of some rounds."""

    median: float
    least: float
    greatest: float


def turns(rounds: int, sides: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Every side once a round, in turned order each other round: what drifts in the machine then troubles all alike.

    >>> list(turns(2, ("this", "that")))
    [(0, 'this'), (0, 'that'), (1, 'that'), (1, 'this')]
    """
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            yield number, side


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(median(values), min(values), max(values))


def spreads(rounds: Sequence[Figures]) -> dict[str, Spread | str]:
    """By figure, over the rounds in which it was found; texts are joined, each once."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    found: dict[str, Spread | str] = {}
    for name in names:
        values = [figures[name] for figures in rounds if name in figures]
        numbers = [value for value in values if isinstance(value, (int, float))]
        texts = [value for value in values if isinstance(value, str)]
        found[name] = ", ".join(dict.fromkeys(texts)) if texts else spread(numbers)
    return found


def ratios(these: Sequence[Figures | None], those: Sequence[Figures | None]) -> dict[str, Spread]:
    """By figure, this tree's value over the other's of the same round; a round without one of them does not count."""
    found: dict[str, list[float]] = {}
    for this, that in zip(these, those, strict=True):
        for name, value in (this or {}).items():
            other = (that or {}).get(name)
            if isinstance(value, (int, float)) and isinstance(other, (int, float)) and other:
                found.setdefault(name, []).append(value / other)
    return {name: spread(values) for name, values in found.items()}
