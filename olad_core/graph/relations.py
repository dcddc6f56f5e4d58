"""The edges of a graph, those of each type in a store of their own."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import Float32s, Float64s, Int32s, Int64s
from olad_core.graph.changes import Arcs
from olad_core.graph.columns import REMOVE_NODE, TYPE, Columns
from olad_core.graph.edge_arrays import EdgeList, Operations, Slabs
from olad_core.graph.edge_store import EdgeStore
from olad_core.graph.neighbours import Neighbours, all_neighbours, joined, sampled_neighbours
from olad_core.graph.parallel_edges import ParallelEdges
from olad_core.graph.text import unpack
from olad_core.graph_types import RELATION
from olad_core.named_state import take_part
from olad_core.schema import SchemaConflict

State: TypeAlias = Mapping[str, npt.NDArray[Any]]
_NAMES = "relations"
"""Name of the state that holds the types, where they are other than the one of a graph that declares none."""


class RelationRule(NamedTuple):
    """What holds for the edges of a type.

    Attributes:
        directed: whether an edge is seen from its target only.
        lifetime: they leave that long after their last time; None where they stay.
        ids: whether each has an id of its own.
        width: number of features of an edge.
    """

    directed: bool = False
    lifetime: float | None = None
    ids: bool = False
    width: int = 0

    @property
    def has_table(self) -> bool:
        """Whether its edges are kept one by one beside the sums of each pair of nodes."""
        return self.ids or self.width > 0

    @property
    def added(self) -> tuple[int, ...]:
        """What the state of a graph holds beside the first two fields; nothing where that is as it was."""
        return (int(self.ids), self.width) if self.has_table else ()


class StandIns(NamedTuple):
    """For how many edges one edge stands in a part of a graph (:meth:`Relations.part`).

    Attributes:
        into: int64 ``[n, R]``, of the edges of each type into each node.
        out: int64 ``[n, R]``, of those from it, where they are directed.
    """

    into: Int64s
    out: Int64s


class Relations:
    """Edges by type. A type has a number, which it keeps; one more type costs nothing to the others.

    Args:
        rules: of each type.
        rows: rows to reserve.

    Attributes:
        longest_lifetime: of any type; None where all edges stay.
        width: number of features of an edge of any type, at most.
    """

    longest_lifetime: float | None
    width: int
    _only: EdgeStore | None

    def __init__(self, rules: Mapping[str, RelationRule], rows: int) -> None:
        self._rules: dict[str, RelationRule] = {}
        self._names: tuple[str, ...] = ()
        self._stores: list[EdgeStore] = []
        self._rows = rows
        for name, rule in rules.items():
            self._add(name, rule)
        self._settle()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the types, in the order of their numbers."""
        return self._names

    @property
    def rules(self) -> Mapping[str, RelationRule]:
        """Of each type, in the order of their numbers."""
        return self._rules

    @property
    def count(self) -> int:
        """Number of edges, an undirected one counted once."""
        return sum(store.count for store in self._stores)

    @property
    def count_with_ids(self) -> int:
        """Those of them that have ids."""
        return sum(store.count for store in self._stores if isinstance(store, ParallelEdges))

    @property
    def count_of_features(self) -> int:
        """Features of all edges together."""
        return sum(store.count * store.width for store in self._stores)

    @property
    def directed(self) -> bool:
        """Whether some edges are seen from their target only."""
        return any(store.directed for store in self._stores)

    def in_weight_of(self, rows: Int64s) -> Float64s:
        """Sum of the weights of each row's incoming edges of all types: ``[n]``."""
        first, *others = self._stores
        return sum((store.in_weight[rows] for store in others), start=first.in_weight[rows])

    def sums_of(self, rows: Int64s) -> Float64s:
        """In- and out-degree and in- and out-weight of rows over all types, ``[n, 4]``.

        Edges that are seen from both ends count as incoming alone.
        """
        sums = np.zeros((len(rows), 4))
        for store in self._stores:
            sums[:, 0] += store.incoming.length[rows]
            sums[:, 2] += store.in_weight[rows]
            if store.directed:
                sums[:, 1] += store.outgoing.length[rows]
                sums[:, 3] += store.out_weight[rows]
        return sums

    def in_degrees(self, rows: Int64s) -> Int64s:
        """Number of edges of each type into each row: ``[n, R]``."""
        return np.stack([store.incoming.length[rows].astype(np.int64) for store in self._stores], axis=1)

    def in_degree(self, rows: Int64s) -> Int64s:
        """Number of edges into each row: ``[n]``."""
        return _total_length((store.incoming for store in self._stores), rows)

    def out_degree(self, rows: Int64s) -> Int64s:
        """Number of edges from each row: ``[n]``."""
        return _total_length((store.outgoing for store in self._stores), rows)

    def follow(self, rules: Mapping[str, RelationRule], declared: Collection[str]) -> None:
        """Take over rules; new types get the next numbers.

        Where the first types are declared before there is any edge, the type of edges that name none makes place,
        unless it is one of them.

        Args:
            rules: of all declared types, and of edges that name none.
            declared: the declared types.

        Raises:
            SchemaConflict: for another direction of edges that are there. Nothing is changed then.
        """
        for name, store in zip(self._rules, self._stores, strict=True):
            if name in rules and store.count and rules[name].directed != store.directed:
                of_type = "" if self.names == (RELATION,) else f" of the type {name!r}"
                raise SchemaConflict(
                    f"directed: {rules[name].directed} declared, but the graph has {store.count} edges{of_type} that "
                    f"are {'directed' if store.directed else 'undirected'}"
                )
            if name in rules and store.count and rules[name].width != self._rules[name].width:
                raise SchemaConflict(
                    f"edge_types.{name}.feature_width: the graph has {store.count} edges without features"
                )
            if name in rules and store.count and rules[name].ids != self._rules[name].ids:
                raise SchemaConflict(
                    f"edge_types.{name}.ids: the graph has {store.count} edges {_with(not rules[name].ids)}"
                )
        if declared and self.names == (RELATION,) and RELATION not in declared and not self.count:
            self._rules, self._stores = {}, []
        for name, rule in rules.items():
            if name not in self._rules:
                if name in declared:
                    self._add(name, rule)
                continue
            number = [*self._rules].index(name)
            if rule._replace(lifetime=None) != self._rules[name]._replace(lifetime=None):
                self._stores[number] = _store(rule, self._rows)
            self._stores[number].track_ages(rule.lifetime is not None)
            self._rules[name] = rule
        self._settle()

    def run(self, operations: Operations, event_of: Int32s, columns: Columns) -> Int64s:
        """Carry out a batch's operations, those on edges of one type in order.

        Args:
            operations: on edges.
            event_of: the event of each operation.
            columns: of the events, numbered.

        Returns:
            The places among the operations of removals of edges that were not there.
        """
        if self._only is not None:
            return self._only.run(operations)
        relation, of_node = columns.types[TYPE, event_of], operations.kind == REMOVE_NODE
        absent = []
        for number, store in enumerate(self._stores):
            places = np.flatnonzero((relation == number) | of_node)
            own = Operations._make(column[places] for column in operations)
            if isinstance(store, ParallelEdges):
                absent.append(places[store.run_events(own, columns, event_of[places])])
            else:
                absent.append(places[store.run(own)])
        return np.sort(np.concatenate(absent))

    def expire(self, clock: float) -> int:
        """Remove the edges that are too old at this time; their number."""
        if self.longest_lifetime is None:
            return 0
        return sum(
            store.expire(clock - rule.lifetime)
            for store, rule in zip(self._stores, self._rules.values(), strict=True)
            if rule.lifetime is not None
        )

    def set_times(self, time: float, *, only_later: bool = False) -> None:
        """Give every edge this time, or those of a later one."""
        for store in self._stores:
            store.set_times(time, only_later=only_later)

    def take_changes(self) -> Arcs:
        """Net change per arc since the last call, type by type."""
        if self._only is not None:
            return self._only.take_changes()
        return Arcs(*map(np.concatenate, zip(*(store.take_changes() for store in self._stores), strict=True)))

    def in_neighbours(self, rows: Int64s) -> Neighbours:
        """Every neighbour with an edge into these rows."""
        return self._with_features(rows, joined([all_neighbours(store.incoming, rows) for store in self._stores]))

    def out_neighbours(self, rows: Int64s) -> Neighbours:
        """Every neighbour that these rows have an edge to."""
        return joined([all_neighbours(store.outgoing, rows) for store in self._stores])

    def sample(self, rows: Int64s, fanout: int, seed: int) -> Neighbours:
        """Up to ``fanout`` in-neighbours of each row, the types having equal shares of them, two at least."""
        each = fanout_of_type(fanout, len(self._stores))
        near = [sampled_neighbours(store.incoming, rows, each, seed + at) for at, store in enumerate(self._stores)]
        return self._with_features(rows, joined(near))

    def _with_features(self, rows: Int64s, near: Neighbours) -> Neighbours:
        """Neighbours with the features of the edges from them."""
        if not self.width:
            return near
        x = np.zeros((near.index.size, self.width), np.float32)
        for number, store in enumerate(self._stores):
            if isinstance(store, ParallelEdges) and store.width:
                store.mean_features(rows, near, number, x)
        return replace(near, x=x)

    def edges(self) -> EdgeList:
        """Every edge once, type by type."""
        lists = [store.edges(number) for number, store in enumerate(self._stores)]
        return _joined(lists)

    def between(self, source: Int64s, target: Int64s, relation: Int64s) -> EdgeList:
        """Those of the edges between pairs of rows that there are, each of a type, each once."""
        lists = []
        for number, store in enumerate(self._stores):
            own = relation == number
            lists.append(store.between(source[own], target[own], number))
        return _joined(lists)

    def due(self, clock: float, most: int) -> EdgeList:
        """The edges that are too old at a time; where they are more than ``most``, so many at least."""
        lists = [
            store.due(clock - rule.lifetime, most + 1, number)
            for number, (store, rule) in enumerate(zip(self._stores, self._rules.values(), strict=True))
            if rule.lifetime is not None
        ]
        nothing = self._stores[0].due(-math.inf, 0, 0)
        return _joined([nothing, *lists])

    def part(self, rows: Int64s, edges: EdgeList) -> tuple[Relations, StandIns]:
        """A part of these edges: what nodes have beyond it is stood for by one edge each.

        Args:
            rows: of its nodes, from 0 there; the row after them is that of a node outside.
            edges: of the part, in the rows of the part.
        """
        outside = rows.size
        part = Relations(self._rules, outside + 1)
        counts = []
        for number, (own, store) in enumerate(zip(part._stores, self._stores, strict=True)):
            own.insert(EdgeList._make(column[edges.relation == number] for column in edges), store)
            counts.append(own.stand_in(store, rows, outside))
        into, out = (np.stack(each, axis=1) for each in zip(*counts, strict=True))
        return part, StandIns(into, out)

    def insert(self, edges: EdgeList, relation: int, features: Float32s) -> None:
        """Insert edges of one type, each once, which have no ids. No :meth:`take_changes` holds them.

        Args:
            edges: in the rows of these stores.
            relation: number of the type.
            features: of these edges ``[n, width]``.
        """
        store = self._stores[relation]
        if isinstance(store, ParallelEdges):
            store.insert_featured(edges, features)
        else:
            store.insert(edges)

    def stood_for(self, stand_ins: StandIns) -> Float64s:
        """What :meth:`sums_of` the first rows lacks of the edges that one stands for: ``[n, 2]``."""
        count = len(stand_ins.into)
        lacking = np.zeros((count, 2))
        for number, store in enumerate(self._stores):
            for side, there in enumerate(store.stands_in(count, count)):
                lacking[:, side] += np.where(there, stand_ins[side][:, number] - 1, 0)
        return lacking

    def parallel(self, name: str) -> ParallelEdges:
        """The store of a type whose edges have ids.

        Raises:
            KeyError: there is no such type.
        """
        store = self._stores[self._names.index(name)] if name in self._rules else None
        if not isinstance(store, ParallelEdges) or not store.named:
            raise KeyError(f"edges of the type {name!r} have no ids")
        return store

    def features_of(self, edges: EdgeList) -> Float32s:
        """Features of edges, ``[n, D]``, those of each type in its first columns."""
        x = np.zeros((edges.number.size, self.width), np.float32)
        for number, store in enumerate(self._stores):
            if isinstance(store, ParallelEdges) and store.width:
                own = np.flatnonzero((edges.relation == number) & (edges.number >= 0))
                x[own, : store.width] = store.features_of(edges.number[own])
        return x

    def edge_ids(self) -> list[str | None]:
        """Of the edges in the order of :meth:`edges`; None where those of a type have none."""
        ids: list[str | None] = []
        for store in self._stores:
            if isinstance(store, ParallelEdges) and store.named:
                ids += unpack(*store.ids_of(store.numbers()))
            else:
                ids += [None] * store.count
        return ids

    def reserve_rows(self, rows: int) -> None:
        """Reserve rows ``0 .. rows - 1``."""
        self._rows = rows
        for store in self._stores:
            store.reserve_rows(rows)

    def emptied(self, rows: int) -> Relations:
        """The same types without edges."""
        return Relations(self._rules, rows)

    def state(self, rows: int) -> dict[str, npt.NDArray[np.generic]]:
        """Everything that decides about the future, for the first ``rows`` rows; arrays in use, not copies of them.

        The arrays of the first type have the names that they have in a graph that declares none.
        """
        first, *others = self._stores
        state = first.state(rows)
        if self.names == (RELATION,) and not self._rules[RELATION].added:
            return state
        for number, store in enumerate(others, start=1):
            state |= {f"{_prefix(number)}/{name}": array for name, array in store.state(rows).items()}
        rules = [[name, rule.directed, rule.lifetime, *rule.added] for name, rule in self._rules.items()]
        return state | {_NAMES: np.frombuffer(json.dumps(rules).encode(), np.uint8).copy()}

    @classmethod
    def from_state(cls, state: State, alone: RelationRule, rows: int) -> Relations:
        """The inverse of :meth:`state`, with ``rows`` rows.

        Args:
            state: the arrays.
            alone: what holds for the edges of a graph that declares no types.
            rows: rows to reserve.
        """
        relations = cls(rules_in(state) or {RELATION: alone}, rows)
        for number, rule in enumerate(relations._rules.values()):
            part = take_part(state, _prefix(number)) if number else state
            kind = ParallelEdges if rule.has_table else EdgeStore
            store = kind.from_state(part, directed=rule.directed, rows=rows)
            if isinstance(store, ParallelEdges):
                store.named = rule.ids
            store.track_ages(rule.lifetime is not None)
            relations._stores[number] = store
        relations._settle()
        return relations

    def _settle(self) -> None:
        """Follow the rules in what is looked at with every batch."""
        self._names = tuple(self._rules)
        plain = len(self._stores) == 1 and not isinstance(self._stores[0], ParallelEdges)
        self._only = self._stores[0] if plain else None
        lifetimes = [rule.lifetime for rule in self._rules.values() if rule.lifetime is not None]
        self.longest_lifetime = max(lifetimes, default=None)
        self.width = max((rule.width for rule in self._rules.values()), default=0)

    def _add(self, name: str, rule: RelationRule) -> None:
        store = _store(rule, self._rows)
        store.track_ages(rule.lifetime is not None)
        self._rules[name] = rule
        self._stores.append(store)


def _store(rule: RelationRule, rows: int) -> EdgeStore:
    if rule.has_table:
        return ParallelEdges(directed=rule.directed, rows=rows, width=rule.width, named=rule.ids)
    return EdgeStore(directed=rule.directed, rows=rows)


def fanout_of_type(fanout: int, types: int) -> int:
    """How many in-neighbours of a node are sampled by edges of each type: equal shares of the fanout, two at least.

    >>> fanout_of_type(10, 1), fanout_of_type(10, 3), fanout_of_type(10, 20)
    (10, 4, 2)
    """
    return fanout if types == 1 else max(2, -(-fanout // types))


def _joined(lists: Sequence[EdgeList]) -> EdgeList:
    return EdgeList(*map(np.concatenate, zip(*lists, strict=True)))


def _with(ids: bool) -> str:
    return "with ids" if ids else "without ids"


def _total_length(slabs: Iterable[Slabs], rows: Int64s) -> Int64s:
    total = np.zeros(len(rows), np.int64)
    for each in slabs:
        total += each.length[rows]
    return total


def rules_in(state: State) -> dict[str, RelationRule]:
    """The types in the state of a graph; empty where it declares none.

    Raises:
        ValueError: they are not what they must be.
    """
    if _NAMES not in state:
        return {}
    listed = json.loads(state[_NAMES].tobytes())
    rules = {}
    for name, directed, lifetime, *more in listed:
        ids, width = more or (0, 0)
        rules[str(name)] = RelationRule(bool(directed), lifetime, bool(ids), int(width))
    return rules


def parts_of(
    state: State,
) -> list[tuple[RelationRule | None, State]]:
    """The state of each type's edges with its rule; None for that of a graph that declares no types."""
    rules: Sequence[RelationRule | None] = [*rules_in(state).values()] or [None]
    return [(rule, take_part(state, _prefix(number)) if number else state) for number, rule in enumerate(rules)]


def _prefix(number: int) -> str:
    return f"relation/{number}"
