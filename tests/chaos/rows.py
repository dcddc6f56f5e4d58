"""What faults have done, as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass
class Row:
    """What one kind of fault has done.

    Attributes:
        fault: its name.
        injected: how often.
        accepted: events that were given a position meanwhile.
        applied: events that the worker counts as applied.
        lost: nodes of accepted events that are not there.
        duplicated: events applied that nobody was given a position for, and nodes that should be gone.
        recovered_s: the longest time from the end of a fault until what was accepted after it could be read.
    """

    fault: str
    injected: int = 0
    accepted: int = 0
    applied: int = 0
    lost: int = 0
    duplicated: int = 0
    recovered_s: float = 0.0


def show(rows: Sequence[Row], answers: Mapping[str, int], seconds: float) -> None:
    """Print the table, and what the producer was answered.

    Args:
        rows: one for each fault.
        answers: how often each status or error came.
        seconds: that all of it took.
    """
    columns = ("fault", "times injected", "events accepted", "applied", "lost", "duplicated", "seconds to recover")
    table = Table(*columns, title=f"{seconds:.0f} s in all")
    for row in rows:
        numbers = (row.injected, row.accepted, row.applied, row.lost, row.duplicated)
        table.add_row(row.fault, *(f"{number:,}" for number in numbers), f"{row.recovered_s:.2f}")
    Console(width=120).print(table, "answers to the producer:", answers)
