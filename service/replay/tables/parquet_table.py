"""Parquet in record batches."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from service.replay.arrival_stream import UnreadableDataset
from service.replay.event_files import opened_whole
from service.replay.meter import Meter
from service.replay.tables.table import Rows

_ROWS = 20_000
_BROKEN = (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError)


class ParquetTable:
    """A Parquet file. A field of a nested column is a column of its own: ``payer.id``.

    Args:
        path: of the file; where it is compressed as a whole, it is held in memory.
        meter: follows how much has been read.

    Raises:
        UnreadableDataset: the file is not whole.
    """

    def __init__(self, path: Path, meter: Meter) -> None:
        self.name = str(path)
        self._path, self._meter = path, meter
        with opened_whole(path) as whole:
            self._content = whole.getvalue() if isinstance(whole, io.BytesIO) else None
        with self._file() as file:
            self._rows = file.metadata.num_rows
            self._types = {field.name: field.type for field in _flat(file.schema_arrow.empty_table()).schema}
        self.columns = tuple(self._types)

    def rows(self, columns: Sequence[str]) -> Iterator[Rows]:
        """All rows with these columns.

        Raises:
            UnreadableDataset: a column is a list or a map, or the file is damaged.
        """
        for column in columns:
            if pa.types.is_nested(self._types[column]):
                raise UnreadableDataset(
                    f"{self.name}, column {column!r} is nested ({self._types[column]}): write its parts as columns of "
                    "their own"
                )
        done = 0
        try:
            with self._file() as file:
                for batch in file.iter_batches(_ROWS, columns=list(columns)):
                    table = _flat(pa.Table.from_batches([batch])).select(list(columns)).combine_chunks()
                    for part in table.to_batches():
                        yield Rows(part, done)
                        done += part.num_rows
                    self._meter.set((self._meter.size or 0) * done // max(1, self._rows))
        except _BROKEN as error:
            raise self._damaged(error) from None

    def place(self, row: int) -> str:
        """The row, counted from 1."""
        return f"row {row + 1}"

    def _file(self) -> Any:
        try:
            return parquet.ParquetFile(self._path if self._content is None else pa.BufferReader(self._content))
        except _BROKEN as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> UnreadableDataset:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        return UnreadableDataset(f"{self.name}: not a whole Parquet file ({reason[:120]}): fetch or write it again")


def _flat(table: Any) -> Any:
    """The table with the fields of nested columns as columns of their own."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table
