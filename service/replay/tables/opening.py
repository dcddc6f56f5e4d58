"""A file as a table of the format that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Literal

from service.replay.arrival_stream import Arrival, UnreadableDataset
from service.replay.event_files import unwrapped
from service.replay.file_kinds import kind_of_text
from service.replay.meter import Meter
from service.replay.tables.changes import ChangeKeys
from service.replay.tables.csv_table import CsvTable
from service.replay.tables.json_table import JsonTable
from service.replay.tables.mapping import CsvFormat, RowMapping
from service.replay.tables.parquet_table import ParquetTable
from service.replay.tables.plan import Plan, plan_without_reading
from service.replay.tables.row_events import arrivals
from service.replay.tables.survey import survey
from service.replay.tables.table import Table, require_columns

TableKind = Literal["csv", "json", "parquet"]


def file_table(path: Path, kind: TableKind, meter: Meter, form: CsvFormat, mapping: RowMapping | None = None) -> Table:
    """The table in a file.

    Args:
        path: of the file.
        kind: its format.
        meter: follows how much of it has been read.
        form: of CSV.
        mapping: what its columns are, where that is stated.

    Raises:
        UnreadableDataset: it is none, or not whole; or it holds no change events where the mapping states them.
    """
    changes = _changes(str(path), kind, mapping)
    if kind == "parquet":
        return ParquetTable(path, meter)
    if kind == "json":
        return JsonTable(str(path), lambda: meter.open(path), changes=changes)
    return CsvTable(str(path), lambda: meter.open(path), form)


def stream_table(stream: IO[bytes], name: str, form: CsvFormat, mapping: RowMapping) -> Table:
    """The table in a stream that can be read once: CSV, or rows of JSON.

    Raises:
        UnreadableDataset: it is none; or it holds no change events where the mapping states them.
    """
    head, rest = unwrapped(stream, name)
    unread = [rest]

    def opened() -> IO[bytes]:
        if not unread:
            raise ValueError("it cannot be read again")
        return unread.pop()

    kind: TableKind = "json" if kind_of_text(head) == "json" else "csv"
    changes = _changes(name, kind, mapping)
    if kind == "json":
        return JsonTable(name, opened, changes=changes, again=False)
    return CsvTable(name, opened, form, again=False)


def _changes(name: str, kind: TableKind, mapping: RowMapping | None) -> ChangeKeys | None:
    """By which columns change events are followed; None where the rows are none."""
    if mapping is None or mapping.changes is None:
        return None
    if kind != "json":
        raise UnreadableDataset(f"{name} is no JSON, which change events of Debezium are: leave `changes` out")
    if mapping.edge_id is not None:  # An edge with an id moves with an update of its ends.
        type_column = None if mapping.edge_type is None else mapping.edge_type.column
        return ChangeKeys((mapping.edge_id.column, *([] if type_column is None else [type_column])), ())
    known_by = mapping.ends if mapping.node is None or mapping.node.id is None else (mapping.node.id.column,)
    return ChangeKeys(known_by, mapping.ends)


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
