"""The part of a live graph that some predictions read, as a graph of its own that events can be tried on.

The part has every edge that the predictions read, before the events or after them, and every edge that the events
change. What its outermost nodes have beyond these is stood for by one edge with the same weight, so that sums over all
edges of a node stay what they are. See ``docs/decisions/0042-what-if.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.errors import OladError
from olad_core.events import MAX_ID_BYTES, Event, RemoveEdge, RemoveNode, UpsertEdge
from olad_core.graph.changes import Changes
from olad_core.graph.neighbours import Neighbours
from olad_core.graph.relations import StandIns
from olad_core.graph.store import DynamicGraph
from olad_core.graph_types import RELATION

Rows = npt.NDArray[np.int64]

OUTSIDE = "\0" * (MAX_ID_BYTES + 1)
"""Id of the node outside a part: longer than that of any node."""
_CELLS = 2**24
"""Features that are copied into a part at most."""


class PartTooLarge(OladError, ValueError):
    """The part has more nodes and edges than it may.

    Attributes:
        need: how many it has at least.
        most: how many it may have.
    """

    def __init__(self, need: int, most: int) -> None:
        super().__init__(f"{need:,} nodes and edges, {most:,} at most")
        self.need, self.most = need, most


@dataclass(frozen=True)
class Part:
    """A part of a live graph.

    Attributes:
        graph: the part.
        rows: of the live graph, of the nodes in the first rows of the part.
    """

    graph: DynamicGraph
    rows: Rows
    _stand_ins: StandIns

    def apply(self, events: Sequence[Event]) -> Changes:
        """Apply events as the live graph would now; the rows of nodes that were there before stay theirs."""
        changes = self.graph.apply(events, self.graph.last_arrival)
        self.graph.count_stand_ins(self._stand_ins)
        return changes


def part_around(graph: DynamicGraph, nodes: Sequence[str], events: Sequence[Event], hops: int, most: int) -> Part:
    """What predictions of nodes read after events, and what the events read.

    Args:
        graph: the live graph.
        nodes: ids of nodes; some may be of nodes that the events create.
        events: checked events.
        hops: how many edges away a prediction reads: the layers of the students.
        most: nodes and edges that the part may have.

    Raises:
        PartTooLarge: it has more.
    """
    most = min(most, _CELLS // max(1, graph.num_features or 0))
    pairs = _Pairs.of(graph, nodes, events)
    inner, reached = _reached(graph, pairs, len(set(nodes)), hops, most)
    rows = np.union1d(reached, pairs.living)
    wanted = [_into(graph, inner), pairs.edges(graph), _of_removed(graph, pairs, rows, most)]
    times = (event.ts for event in events if not isinstance(event, RemoveNode | RemoveEdge) and event.ts is not None)
    due = graph.edges_due(times, most)
    _require(rows.size + due.source.size, most)
    near = np.isin(due.source, rows) | np.isin(due.target, rows)
    wanted.append(_Ends(due.source[near], due.target[near], due.relation[near]))
    edges = graph.edges_between(*map(np.concatenate, zip(*wanted, strict=True)))
    rows = np.union1d(rows, np.concatenate([edges.source, edges.target]))
    _require(rows.size + edges.source.size, most)
    places = edges._replace(source=np.searchsorted(rows, edges.source), target=np.searchsorted(rows, edges.target))
    part, stand_ins = graph.part(rows, OUTSIDE, pairs.removed, places)
    return Part(part, rows, stand_ins)


class _Ends(NamedTuple):
    """Pairs of rows, each with the number of a type of edges."""

    source: Rows
    target: Rows
    relation: Rows


@dataclass(frozen=True)
class _Pairs:
    """The nodes and edges that are named.

    Attributes:
        number: of each named node, the nodes that are asked for first: its row, or one that no row has.
        capacity: numbers from here on are those of ids without a node.
        ends: of each edge that an event names: numbers, and the type.
        removed: ids that count as those of removed nodes.
        leaving: rows of the nodes that an event removes.
    """

    number: Rows
    capacity: int
    ends: _Ends
    removed: Sequence[str]
    leaving: Rows

    @classmethod
    def of(cls, graph: DynamicGraph, nodes: Sequence[str], events: Sequence[Event]) -> _Pairs:
        named = [*_named_edges(graph, events)]
        others = [str(event.id) for event in events if not isinstance(event, UpsertEdge | RemoveEdge)]
        ids = list(dict.fromkeys([*nodes, *others, *(end for edge in named for end in edge[:2])]))
        rows = graph.rows(ids)
        absent = np.flatnonzero(rows < 0)
        number = np.where(rows < 0, graph.capacity + np.arange(rows.size), rows)
        of = dict(zip(ids, number.tolist(), strict=True))
        types = {name: place for place, name in enumerate(graph.relations)}
        ends = [(of[source], of[target], types[kind]) for source, target, kind in named if kind in types]
        gone = graph.were_removed([ids[place] for place in absent.tolist()])
        leaving = {of[str(event.id)] for event in events if isinstance(event, RemoveNode)}
        return cls(
            number,
            graph.capacity,
            _Ends(*np.array(ends, np.int64).reshape(-1, 3).T),
            [ids[place] for place in absent[gone].tolist()],
            np.array(sorted(row for row in leaving if row < graph.capacity), np.int64),
        )

    @property
    def living(self) -> Rows:
        """Rows of the named nodes that there are."""
        return self.number[self.number < self.capacity]

    def edges(self, graph: DynamicGraph) -> _Ends:
        """The named edges between nodes that there are."""
        there = (self.ends.source < graph.capacity) & (self.ends.target < graph.capacity)
        return _Ends(*(column[there] for column in self.ends))


def _named_edges(graph: DynamicGraph, events: Iterable[Event]) -> Iterable[tuple[str, str, str]]:
    """Both ends and the type of each edge that an event names, and those that an edge with an id has now."""
    for event in events:
        if not isinstance(event, UpsertEdge | RemoveEdge):
            continue
        kind = event.type or RELATION
        if event.src is not None and event.dst is not None:
            yield str(event.src), str(event.dst), kind
        if event.id is not None and kind in graph.relation_rules and graph.relation_rules[kind].ids:
            found = graph.find_edges(kind, [str(event.id)])
            if found.source[0] >= 0:
                source, target = graph.ids([found.source[0], found.target[0]])
                yield source, target, kind


def _reached(graph: DynamicGraph, pairs: _Pairs, asked: int, hops: int, most: int) -> tuple[Rows, Rows]:
    """Rows that are read, before the events or after them: those whose neighbours are read too, and all of them."""
    directed = np.array([rule.directed for rule in graph.relation_rules.values()])
    both = ~directed[pairs.ends.relation]
    source = np.concatenate([pairs.ends.source, pairs.ends.target[both]])
    target = np.concatenate([pairs.ends.target, pairs.ends.source[both]])
    reached = newest = np.unique(pairs.number[:asked])
    inner, edges = reached[:0], 0
    for _ in range(hops):
        inner, rows = reached, newest[newest < pairs.capacity]
        edges += int(graph.in_degree(rows).sum())
        _require(reached.size + edges, most)
        found = np.concatenate([graph.in_neighbours(rows).index, source[np.isin(target, newest)]])
        newest = np.setdiff1d(found, reached)
        reached = np.union1d(reached, newest)
    return inner[inner < pairs.capacity], reached[reached < pairs.capacity]


def _into(graph: DynamicGraph, rows: Rows) -> _Ends:
    """All edges into rows."""
    return _Ends(*_typed(graph.in_neighbours(rows), rows))


def _typed(near: Neighbours, rows: Rows) -> tuple[Rows, Rows, Rows]:
    """The neighbours of rows, which row each is one of, and the type of the edge."""
    relation = np.repeat(np.arange(near.groups.size - 1) % max(near.types, 1), np.diff(near.groups))
    return near.index, np.repeat(rows, np.diff(near.indptr)), relation


def _of_removed(graph: DynamicGraph, pairs: _Pairs, rows: Rows, most: int) -> _Ends:
    """All edges between the nodes that are removed and the rows."""
    leaving = pairs.leaving
    _require(rows.size + int(graph.in_degree(leaving).sum() + graph.out_degree(leaving).sum()), most)
    source, target, relation = _typed(graph.in_neighbours(leaving), leaving)
    others, senders, of_senders = _typed(graph.out_neighbours(leaving), leaving)
    source, target = np.concatenate([source, senders]), np.concatenate([target, others])
    relation = np.concatenate([relation, of_senders])
    near = np.isin(source, rows) & np.isin(target, rows)
    return _Ends(source[near], target[near], relation[near])


def _require(need: int, most: int) -> None:
    if need > most:
        raise PartTooLarge(need, most)
