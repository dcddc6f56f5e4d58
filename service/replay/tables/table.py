"""What every format of tables is: named columns, read in record batches, as often as wanted."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from olad_core.errors import OladError
from service.replay.arrival_stream import UnreadableDataset
from service.replay.tables.changes import Change

_T = TypeVar("_T")


class BadValue(OladError, ValueError):
    """A value that does not fit its use.

    Args:
        row: its place in the array, from 0.
        problem: what it is, and what to do.
    """

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row = row


@dataclass(frozen=True)
class Rows:
    """Some consecutive rows.

    Attributes:
        batch: an ``arrow.RecordBatch`` with the columns that were asked for.
        first: number of the first row, from 0.
        numbers: number of each row, where one message of the file is no row or more than one.
        changes: what each row reports; None where each is new.
    """

    batch: Any
    first: int
    numbers: Sequence[int] | None = None
    changes: Sequence[Change] | None = None

    def number(self, row: int) -> int:
        """Number in the file of the row at this place of the batch."""
        return self.first + row if self.numbers is None else self.numbers[row]

    def present(self) -> Rows:
        """Those that are there: without what only reports that a row, or its edges, are gone."""
        if self.changes is None:
            return self
        kept = [row for row, change in enumerate(self.changes) if change not in {"leaves", "unlinks"}]
        numbers, changes = tuple(map(self.number, kept)), tuple(self.changes[row] for row in kept)
        return Rows(self.batch.take(pa.array(kept, pa.int64())), self.first, numbers, changes)


class Table(Protocol):
    """A file of rows."""

    name: str
    """For messages."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of all columns; None where they are not known before the rows."""

    def rows(self, columns: Sequence[str]) -> Iterator[Rows]:
        """All rows from the first one on, with these columns, in memory that does not depend on their number.

        Raises:
            UnreadableDataset: the file is not what it seems, and where.
        """

    def place(self, row: int) -> str:
        """Where the row with this number, from 0, stands: ``line 7``."""


def require_columns(table: Table, wanted: Sequence[str]) -> None:
    """Check that the table has these columns.

    Raises:
        UnreadableDataset: naming the first that is missing, and those that there are.
    """
    if table.columns is None:
        return
    for name in wanted:
        if name not in table.columns:
            near = difflib.get_close_matches(name, table.columns, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            is_data = any(column.replace(".", "", 1).isdecimal() for column in table.columns)
            todo = "; its first line must hold the names of the columns" if is_data and not near else ""
            raise UnreadableDataset(f"{table.name} has no column {name!r}{meant}; {named(table.columns)}{todo}")


def named(columns: Sequence[str]) -> str:
    """The columns there are, for messages.

    >>> named(["a", "b"])
    'it has the columns a, b'
    """
    most = 30
    more = f" and {len(columns) - most} more" if len(columns) > most else ""
    return f"it has the columns {', '.join(columns[:most])}{more}"


def in_column(table: Table, rows: Rows, column: str, read: Callable[[Any], _T]) -> _T:
    """What is read out of a column; what is wrong in it is named for the user.

    Raises:
        UnreadableDataset: naming file, line, column and value.
    """
    try:
        return read(rows.batch.column(column))
    except BadValue as error:
        place = table.place(rows.number(error.row))
        raise UnreadableDataset(f"{table.name}, {place}, column {column!r}: {error}") from None
