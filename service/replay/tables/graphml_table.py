"""The nodes or the edges of GraphML in record batches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import pyarrow as pa

from service.replay.graphml import GraphmlHead, Kind, Record, read_records
from service.replay.tables.table import Rows

_ROWS = 20_000


class GraphmlTable:
    """A table of the nodes of a file, with ``id``, or of its edges, with ``source`` and ``target``.

    Args:
        name: for messages.
        opened: opens the file at its beginning.
        head: its declarations.
        kind: which of both.
    """

    def __init__(self, name: str, opened: Callable[[], IO[bytes]], head: GraphmlHead, kind: Kind) -> None:
        self.name = name
        self._opened, self._kind = opened, kind
        own = ("id",) if kind == "node" else ("source", "target")
        self.columns = (*own, *head.names[kind])

    def rows(self, columns: Sequence[str]) -> Iterator[Rows]:
        """All of them with these columns, as text.

        Raises:
            UnreadableDataset: naming the line, what is there, and what to do.
        """
        first = 0
        held: list[Record] = []
        for record in read_records(self._opened, self.name, self._kind):
            held.append(record)
            if len(held) >= _ROWS:
                yield _batch(held, columns, first)
                first += len(held)
                held.clear()
        if held:
            yield _batch(held, columns, first)

    def place(self, row: int) -> str:
        """The line at which it begins; without another look, its number."""
        with contextlib.suppress(OSError, ValueError):
            for number, record in enumerate(read_records(self._opened, self.name, self._kind)):
                if number == row:
                    return f"line {record.line}"
        return f"{self._kind} {row + 1}"


def _batch(records: Sequence[Record], columns: Sequence[str], first: int) -> Rows:
    arrays = [pa.array([record.values.get(column) for record in records], pa.string()) for column in columns]
    return Rows(pa.record_batch(arrays, names=list(columns)), first)
