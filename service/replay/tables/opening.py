"""A file as a table of the format that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from service.replay.arrival_stream import Arrival, UnreadableDataset
from service.replay.meter import Meter
from service.replay.tables.csv_table import CsvTable
from service.replay.tables.mapping import CsvFormat, RowMapping
from service.replay.tables.parquet_table import ParquetTable
from service.replay.tables.plan import Plan, plan_without_reading
from service.replay.tables.row_events import arrivals
from service.replay.tables.survey import survey
from service.replay.tables.table import Table, require_columns


def file_table(path: Path, kind: str, meter: Meter, form: CsvFormat) -> Table:
    """The table in a file.

    Args:
        path: of the file.
        kind: ``csv`` or ``parquet``.
        meter: follows how much of it has been read.
        form: of CSV.

    Raises:
        UnreadableDataset: it is none, or not whole.
    """
    if kind == "parquet":
        return ParquetTable(path, meter)
    return CsvTable(str(path), lambda: meter.open(path), form)


def stream_table(stream: IO[bytes], name: str, form: CsvFormat) -> Table:
    """The table in a stream that can be read once."""
    unread = [stream]

    def opened() -> IO[bytes]:
        if not unread:
            raise ValueError("it cannot be read again")
        return unread.pop()

    return CsvTable(name, opened, form, again=False)


def planned(
    table: Table, mapping: RowMapping, *, again: bool, on_rows: Callable[[int], None]
) -> tuple[Plan, Iterator[Arrival]]:
    """How a table becomes events, and these.

    Args:
        table: not read yet.
        mapping: what its columns are.
        again: whether it can be read twice; else the mapping must leave nothing open.
        on_rows: called with the number of rows read, while the table is read the first time.

    Raises:
        UnreadableDataset: a value does not fit; or the mapping leaves something open.
    """
    if again:
        plan = survey(table, mapping, on_rows)
    else:
        require_columns(table, tuple(mapping.columns()))
        try:
            plan = plan_without_reading(mapping)
        except ValueError as error:
            raise UnreadableDataset(
                f"{table.name} cannot be read twice, so that its mapping must be complete: {error} in a mapping file "
                "(--mapping), or save it to a file first"
            ) from None
    return plan, arrivals(table, plan)
