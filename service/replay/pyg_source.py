"""``Data`` and ``TemporalData`` of PyG as sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from service.replay.meter import Meter
from service.replay.pyg_files import SavedEvents, read_saved
from service.replay.registry import DatasetSpec
from service.replay.sources import Source, StreamOptions, file_identity, graph_source
from service.replay.table_options import TableOptions, require_no_columns
from service.replay.table_source import stated, table_source
from service.replay.tables.array_table import ArrayTable


def pyg_source(path: Path, options: StreamOptions, tables: TableOptions, on_read: Callable[[Meter], None]) -> Source:
    """What ``torch.save`` wrote. A ``TemporalData`` is a table with a row for each event.

    Raises:
        UnreadableDataset: it is neither, and what it is; or it does not fit.
        WrongMapping: columns are stated that it does not have.
    """
    saved = read_saved(path)
    if isinstance(saved, SavedEvents):
        table = ArrayTable(str(path), saved.columns)
        of_events = _of_events(tables, saved)
        mapping, _ = stated(of_events)
        assert mapping is not None, "it has ends at least"
        return table_source(path, table, mapping, options, of_events, on_read, Meter(None))
    require_no_columns(tables, f"{path} is a Data of PyG")
    source = graph_source(saved.graph, DatasetSpec(path.name, path.name, "a graph"), file_identity(path), options)
    if saved.graph.directed:
        note = "edges go one way, for not each stands there in both directions: declared as directed"
        source = replace(source, notes=(note,))
    if saved.left_out:
        source = replace(source, notes=(*source.notes, f"left out: {', '.join(saved.left_out)}"))
    return source


def _of_events(tables: TableOptions, events: SavedEvents) -> TableOptions:
    """The options, with the columns that every ``TemporalData`` has where none are stated."""
    if tables.mapping is not None:
        return tables
    found = replace(tables, source=tables.source or "src", target=tables.target or "dst", time=tables.time or "t")
    if not tables.as_node:
        return found
    messages = tuple(name for name in events.columns if name.startswith("msg."))
    label = tables.label or ("y" if "y" in events.columns else None)
    return replace(found, features=tables.features or messages, label=label)
