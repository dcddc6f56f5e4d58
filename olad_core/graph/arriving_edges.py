"""The edges of a type that arrive with an entry: what a task predicts before it is applied, and remembers after it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.events import Event, Features, UpsertEdge
from olad_core.graph.store import DynamicGraph
from olad_core.graph_types import RELATION

Rows = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


class ArrivingEdges(NamedTuple):
    """Edges of an entry that were not in the graph before it, in order, each once.

    Attributes:
        number: of the first event of each in the entry.
        ends: ids of source and target.
        ids: of the edges; None where those of the type have none.
        rows: of both ends ``[n, 2]``, -1 where there is no such node.
        weight: ``[n]``.
        time: ``[n]``.
        x: features, as they were sent.
    """

    number: list[int]
    ends: list[tuple[str, str]]
    ids: list[str | None]
    rows: Rows
    weight: Doubles
    time: Doubles
    x: list[Features | None]


class ArrivedEdges(NamedTuple):
    """What became of n arriving edges.

    Attributes:
        applied: whether each was ``[n]``.
        places: of those that were applied and whose ends are still there ``[m]``.
        ids: of these edges.
        rows: of their ends now ``[m, 2]``.
        weight: ``[m]``.
        time: ``[m]``.
    """

    applied: npt.NDArray[np.bool_]
    places: Rows
    ids: list[str | None]
    rows: Rows
    weight: Doubles
    time: Doubles


def arriving_edges(graph: DynamicGraph, edge_type: str, events: Sequence[Event], now: float) -> ArrivingEdges:
    """The edges of a type that arrive with an entry.

    Args:
        graph: before the entry.
        edge_type: of the edges.
        events: of the entry.
        now: time of events without one.
    """
    upserts = [
        (number, event)
        for number, event in enumerate(events)
        if type(event) is UpsertEdge and (event.type or RELATION) == edge_type
    ]
    has_ids = graph.relation_rules[edge_type].ids
    ends = [(str(event.src), str(event.dst)) for _, event in upserts]
    ids = [str(event.id) if has_ids else None for _, event in upserts]
    rows = rows_of_ends(graph, ends)
    new = _new(graph, edge_type, ends, ids, rows)
    chosen = [upserts[place] for place in new]
    return ArrivingEdges(
        [number for number, _ in chosen],
        [ends[place] for place in new],
        [ids[place] for place in new],
        rows[new],
        np.array([1.0 if event.weight is None else event.weight for _, event in chosen]),
        np.array([now if event.ts is None else event.ts for _, event in chosen]),
        [event.x for _, event in chosen],
    )


def arrived_edges(graph: DynamicGraph, arriving: ArrivingEdges, rejected: Collection[int]) -> ArrivedEdges:
    """What became of the edges that arrived with an entry.

    Args:
        graph: after the entry.
        arriving: the edges.
        rejected: numbers of events that were not applied.
    """
    rows = rows_of_ends(graph, arriving.ends)
    applied = np.array([number not in rejected for number in arriving.number], np.bool_)
    places = np.flatnonzero(applied & (rows >= 0).all(axis=1))
    ids = [arriving.ids[place] for place in places.tolist()]
    return ArrivedEdges(applied, places, ids, rows[places], arriving.weight[places], arriving.time[places])


def rows_of_ends(graph: DynamicGraph, ends: Sequence[tuple[str, str]]) -> Rows:
    """Rows of both ends of edges ``[n, 2]``, -1 where there is no such node."""
    return graph.rows([end for pair in ends for end in pair]).reshape(-1, 2)


def time_of_arrival(graph: DynamicGraph) -> float:
    """The time of an edge that is predicted as if it arrived now."""
    return graph.clock if np.isfinite(graph.clock) else 0.0


def _new(
    graph: DynamicGraph,
    edge_type: str,
    ends: Sequence[tuple[str, str]],
    ids: Sequence[str | None],
    rows: Rows,
) -> list[int]:
    """Places of the edges that are not in the graph, each edge once."""
    keys: list[Any]
    if graph.relation_rules[edge_type].ids:
        there = graph.find_edges(edge_type, [name or "" for name in ids]).source >= 0
        keys = list(ids)
    else:
        known = np.flatnonzero((rows >= 0).all(axis=1))
        relation = graph.relations.index(edge_type)
        found = graph.edges_between(rows[known, 0], rows[known, 1], np.full(known.size, relation))
        directed = graph.relation_rules[edge_type].directed
        held = set(zip(found.source.tolist(), found.target.tolist(), strict=True))
        held |= set() if directed else {(target, source) for source, target in held}
        there = np.array([(source, target) in held for source, target in rows.tolist()], np.bool_)
        keys = [pair if directed else tuple(sorted(pair)) for pair in ends]
    first: dict[Any, int] = {}
    for place, key in enumerate(keys):
        if not there[place]:
            first.setdefault(key, place)
    return list(first.values())
