"""Types of nodes and edges, as the columns of a table state them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from olad_core.events import UpsertNode
from olad_core.graph_types import MAX_TYPE_BYTES
from service.replay.tables.mapping import RowMapping, TypeColumn
from service.replay.tables.table import BadValue, Rows, Table, in_column
from service.replay.tables.values import texts

Types = Sequence[str | None]
"""A name for each row, None where there is none."""
_NAMED = 100_000
"""Ends of edges that are remembered with their type."""


def edge_types_of(table: Table, mapping: RowMapping, rows: Rows) -> tuple[Types, Types]:
    """Types of the edges from the source of each row, and of those to its target; equal where a row is an edge.

    Raises:
        UnreadableDataset: naming file, line, column and value.
    """
    own = [None if end is None else end.edge_type for end in (mapping.source, mapping.target)]
    from_source, to_target = (_types(table, each or mapping.edge_type, rows) for each in own)
    return from_source, to_target


def end_types_of(table: Table, mapping: RowMapping, rows: Rows, ends: Sequence[Types | None]) -> tuple[Types, Types]:
    """Types of the nodes at which edges begin, and of those at which they end.

    Raises:
        UnreadableDataset: naming file, line, column and value; so where a node has no type.
    """
    stated = [None if end is None else end.type for end in (mapping.source, mapping.target)]
    source, target = (
        _types(table, type_, rows, [node is not None for node in nodes or [None] * rows.batch.num_rows])
        for type_, nodes in zip(stated, ends, strict=True)
    )
    return source, target


def row_types_of(table: Table, mapping: RowMapping, rows: Rows) -> Types:
    """Types of the nodes that rows are; None for all where none is stated.

    Raises:
        UnreadableDataset: naming file, line, column and value; so where a node has no type.
    """
    stated = mapping.node.type if mapping.node is not None else None
    return _types(table, stated, rows, [True] * rows.batch.num_rows)


class TypedEnds:
    """Creates the ends of edges with their types, each of the last many once."""

    def __init__(self) -> None:
        self._named: set[tuple[str, str]] = set()

    def events(self, node: str | None, kind: str | None, ts: float | None) -> tuple[UpsertNode, ...]:
        """What creates this node with its type; nothing where it has none, or has been created with it lately."""
        if node is None or kind is None or (node, kind) in self._named:
            return ()
        if len(self._named) >= _NAMED:
            self._named.clear()
        self._named.add((node, kind))
        return (UpsertNode(id=node, type=kind, ts=ts),)


def _types(table: Table, stated: TypeColumn | None, rows: Rows, needed: Sequence[bool] = ()) -> Types:
    """A type for each row; None where there is none.

    Args:
        table: for messages.
        stated: where types are.
        rows: of the table.
        needed: rows that must have one, unless it is stated that they need not.
    """
    count = rows.batch.num_rows
    if stated is None or stated.column is None:
        return [stated.name if stated is not None else None] * count
    must = [False] * count if stated.optional or not needed else needed

    def named(column: Any) -> Types:
        found = texts(column, exact=stated.exact)
        for row, name in enumerate(found):
            if name is None and must[row]:
                raise BadValue(row, "the type of a node is missing: fill it in, or leave the row out")
            if name is not None and len(name.encode()) > MAX_TYPE_BYTES:
                raise BadValue(row, f"a type of {len(name.encode())} bytes: {MAX_TYPE_BYTES} at most")
        return found

    return in_column(table, rows, stated.column, named)
