"""Columns in memory as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from service.replay.tables.table import Rows

_ROWS = 20_000


class ArrayTable:
    """Arrays of one length, such as those of a ``TemporalData``.

    Args:
        name: for messages.
        columns: arrays ``[N]`` of numbers.
    """

    def __init__(self, name: str, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        self.name = name
        self._arrays = columns
        self.columns = tuple(columns)

    def rows(self, columns: Sequence[str]) -> Iterator[Rows]:
        """All rows with these columns."""
        length = len(next(iter(self._arrays.values()), ()))
        for first in range(0, length, _ROWS):
            arrays = [pa.array(self._arrays[column][first : first + _ROWS]) for column in columns]
            yield Rows(pa.record_batch(arrays, names=list(columns)), first)

    def place(self, row: int) -> str:
        """The place of an event in the arrays."""
        return f"event {row}"
