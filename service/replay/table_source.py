"""Tables as sources: CSV, Parquet and rows of JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from service.replay.arrival_stream import Arrival, UnreadableDataset
from service.replay.label_delay import Duration, delay_labels, delay_labels_in_time, delay_own_labels
from service.replay.mapping_file import read_mapping
from service.replay.meter import Meter
from service.replay.sources import Source, StreamOptions, file_identity
from service.replay.table_options import TableOptions, csv_format_of, mapping_of
from service.replay.tables.mapping import CsvFormat, RowMapping
from service.replay.tables.opening import TableKind, file_table, planned, stream_table
from service.replay.tables.plan import Plan
from service.replay.tables.table import Table, named

_NAMES_SHOWN = 30


def table_file(
    path: Path,
    kind: TableKind,
    options: StreamOptions,
    tables: TableOptions,
    on_read: Callable[[Meter], None],
) -> Source:
    """A file with a table. It is read through first, so that nothing is sent of a file with a value that does not fit.

    Raises:
        UnreadableDataset: naming file, line, column and value, and what to do.
        WrongMapping: it is not stated what the columns are, or not so that it fits.
    """
    meter = Meter(path.stat().st_size)
    mapping, form = stated(tables)
    table = file_table(path, kind, meter, form, mapping)
    if mapping is None:
        what = {"csv": "CSV", "json": "JSON, and no events", "parquet": "a Parquet file"}[kind]
        raise UnreadableDataset(
            f"{path} is {what}; {named(table.columns or ())}: name them with --source and --target, --id or --mapping "
            "(docs/files.md)"
        )
    return table_source(path, table, mapping, options, tables, on_read, meter)


def table_source(
    path: Path,
    table: Table,
    mapping: RowMapping,
    options: StreamOptions,
    tables: TableOptions,
    on_read: Callable[[Meter], None],
    meter: Meter,
) -> Source:
    """A table that a file holds, read through as a whole first.

    Raises:
        UnreadableDataset, WrongMapping: as for :func:`table_file`.
    """
    plan, arrivals = planned(table, mapping, again=True, on_rows=lambda _rows: on_read(meter))
    source = _source(path.name, table, plan, arrivals, options)
    return replace(source, identity=f"{file_identity(path)} {options} {tables} {plan}", meter=meter)


def table_stream(stream: IO[bytes], name: str, options: StreamOptions, tables: TableOptions) -> Source:
    """CSV or rows of JSON that can be read once, such as those on standard input.

    Raises:
        UnreadableDataset, WrongMapping: as for files; and where the mapping leaves something open.
    """
    mapping, form = stated(tables)
    assert mapping is not None, "asked for where there is one"
    table = stream_table(stream, name, form, mapping)
    plan, arrivals = planned(table, mapping, again=False, on_rows=lambda _rows: None)
    return _source(name, table, plan, arrivals, options)


def stated(tables: TableOptions) -> tuple[RowMapping | None, CsvFormat]:
    """What options or a mapping file state of the columns, and of how CSV is written."""
    if not tables.names_columns:
        return None, csv_format_of(tables)
    if tables.mapping is None:
        return mapping_of(tables), csv_format_of(tables)
    mapping = read_mapping(tables.mapping, tables)
    return mapping, csv_format_of(tables, mapping.csv)


def _source(name: str, table: Table, plan: Plan, arrivals: Iterator[Arrival], options: StreamOptions) -> Source:
    return Source(
        name=name,
        identity=None,
        batches=options.batches(with_labels(table, plan, arrivals, options)),
        proposal=plan.schema(),
        notes=notes_of(plan),
    )


def with_labels(table: Table, plan: Plan, arrivals: Iterable[Arrival], options: StreamOptions) -> Iterable[Arrival]:
    """Arrivals with the labels that are due.

    Raises:
        UnreadableDataset: the delay is a time, and the rows have none.
    """
    node = plan.mapping.node
    if options.scored and node is not None and node.id is not None:
        arrivals = _each_once(arrivals)
    truth = plan.mapping.truth
    if truth is None:
        return arrivals
    delay = options.label_delay if options.label_delay is not None else truth.delay
    if not isinstance(delay, Duration):
        number = options.default_delay if delay is None else delay
        by_class = node is not None and node.value is None
        later = by_class and number > 0 and (options.scored or plan.mapping.changes is not None)
        return delay_labels(arrivals, number) if later else delay_own_labels(arrivals, number)
    if plan.mapping.time is None:
        raise UnreadableDataset(f"{table.name}: a label delay in time needs times: --time COLUMN")
    if plan.time_unit == "own":
        raise UnreadableDataset(
            f"{table.name}, column {plan.mapping.time.column!r}: a label delay in time needs dates, and these "
            "numbers are none: give it as a number of arrivals, or --time-unit"
        )
    return delay_labels_in_time(arrivals, delay, table.name, "s")


def _each_once(arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
    """A further row of a node is an update: it does not arrive again. The ids of all nodes are kept."""
    seen: set[str] = set()
    for arrival in arrivals:
        if arrival.node is None or arrival.node not in seen:
            if arrival.node is not None:
                seen.add(arrival.node)
            yield arrival
        else:
            yield replace(arrival, node=None)


def notes_of(plan: Plan) -> tuple[str, ...]:
    """What was found in the columns, a line each."""
    notes = list(plan.notes)
    if plan.mapping.time is not None:
        how = {"iso": "dates", "own": "numbers that are no dates"}.get(
            plan.time_unit, f"dates in {plan.time_unit} since 1970"
        )
        notes.insert(0, f"times in {plan.mapping.time.column!r} are {how}")
    if plan.features:
        names = plan.feature_names
        more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
        notes.insert(0, f"features: {', '.join(names[:_NAMES_SHOWN])}{more}")
    return tuple(notes)
