"""Which types the rows of a table have, found while it is read through."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from olad_core.graph_types import MAX_EDGE_TYPES, MAX_NODE_TYPES, RELATION
from service.replay.arrival_stream import UnreadableDataset
from service.replay.tables.mapping import RowMapping
from service.replay.tables.plan import FeaturePlan, sorted_types
from service.replay.tables.row_events import ends_of
from service.replay.tables.row_types import Types, edge_types_of, end_types_of, row_types_of
from service.replay.tables.table import Rows, Table
from service.replay.tables.values import missing_of


class TypesFound:
    """The types of nodes and edges so far, and which features the nodes of each type have.

    Args:
        table: for messages.
        mapping: what its columns are.
    """

    def __init__(self, table: Table, mapping: RowMapping) -> None:
        self._table, self._mapping = table, mapping
        self._columns = [feature.column for feature in mapping.node.features] if mapping.node is not None else []
        self._stated = [*mapping.types()]
        self._known: dict[str, int] = {}
        # For each column of features, the types of which some row has a value, and those of which some row has none.
        self._having: list[set[str]] = [set() for _ in self._columns]
        self._lacking: list[set[str]] = [set() for _ in self._columns]
        self._edges: set[str] = set()

    def take(self, rows: Rows) -> None:
        """Take in some rows.

        Raises:
            UnreadableDataset: a node has no type, or there are more than a graph may have.
        """
        if not self._stated:
            return
        self._take_nodes(rows)
        ends = ends_of(self._table, self._mapping, rows)
        for kind in itertools.chain(*end_types_of(self._table, self._mapping, rows, ends)):
            if kind is not None:
                self._known.setdefault(kind, 0)
        for kinds, nodes in zip(edge_types_of(self._table, self._mapping, rows), ends, strict=True):
            joined = zip(kinds, nodes or (), strict=nodes is not None)
            self._edges |= {kind or RELATION for kind, node in joined if node is not None}
        self._require(len(self._known), MAX_NODE_TYPES, "nodes")
        self._require(len(self._edges), MAX_EDGE_TYPES, "edges")

    def node_types(self, features: Sequence[FeaturePlan]) -> dict[str, int]:
        """Each type of nodes with the number of its features: those up to the last that any of its nodes has."""
        ends = np.cumsum([0, *(len(feature.names) for feature in features)]).tolist()
        return sorted_types({kind: ends[columns] for kind, columns in self._known.items()})

    def misses(self, column: int) -> bool | None:
        """Whether a column of features has values of some rows of a type and not of others; None without types."""
        return bool(self._having[column] & self._lacking[column]) if self._known else None

    def edge_types(self) -> tuple[str, ...]:
        """The types of edges; none where edges have no types."""
        return tuple(sorted(self._edges)) if self._edges != {RELATION} else ()

    def _take_nodes(self, rows: Rows) -> None:
        kinds = row_types_of(self._table, self._mapping, rows)
        places = _places(kinds)
        for kind in places:
            self._known.setdefault(kind, 0)
        for number, column in enumerate(self._columns):
            missing = missing_of(rows.batch.column(column))
            for kind, of_kind in places.items():
                if missing[of_kind].any():
                    self._lacking[number].add(kind)
                if not missing[of_kind].all():
                    self._having[number].add(kind)
                    self._known[kind] = max(self._known[kind], number + 1)

    def _require(self, count: int, most: int, what: str) -> None:
        if count > most:
            columns = ", ".join(repr(part.column) for part in self._stated if part.column is not None)
            raise UnreadableDataset(
                f"{self._table.name} has more than {most} types of {what}, which a graph cannot have: is {columns} the "
                "column of types?"
            )


def _places(kinds: Types) -> dict[str, list[int]]:
    """Rows of each type."""
    places: dict[str, list[int]] = {}
    for row, kind in enumerate(kinds):
        if kind is not None:
            places.setdefault(kind, []).append(row)
    return places
