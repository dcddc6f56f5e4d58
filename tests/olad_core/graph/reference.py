"""The store's meaning in plain Python, one event at a time, and random events that collide all the time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from olad_core.events import Event, LabelNode, RemoveEdge, RemoveNode, SparseFeatures, UpsertEdge, UpsertNode
from olad_core.graph.relations import RelationRule
from olad_core.graph_types import RELATION


@dataclass
class Node:
    x: list[float] | None = None
    label: str | None = None
    first: float = math.nan
    last: float = math.nan
    gap: float = 0.0

    def note(self, time: float) -> None:
        """Follow the time of an edge event."""
        if math.isnan(self.first):
            self.first = self.last = time
        else:
            self.gap += (max(time - self.last, 0.0) - self.gap) / 4
            self.last = max(time, self.last)

    def happened(self, time: float, *, only_later: bool = False) -> None:
        """Follow the setting of times."""
        if math.isnan(self.first):
            return
        self.first = min(self.first, time) if only_later else time
        self.last = min(self.last, time) if only_later else time
        self.gap = self.gap if only_later else 0.0


@dataclass
class Edge:
    source: str
    target: str
    weight: float = 1.0
    ts: float = 0.0
    x: list[float] = field(default_factory=list)


@dataclass
class Reference:
    directed: bool
    lifetime: float | None
    width: int | None
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[tuple[str, ...], Edge] = field(default_factory=dict)
    """By type and ends, or by type and id."""
    rules: dict[str, RelationRule] = field(default_factory=dict)
    """Of the types of edges; empty where none is declared."""
    removed: dict[str, None] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    clock: float = -math.inf
    ahead_max: float | None = None
    from_ts: bool = False
    arrival: float = -math.inf
    waited: float = 0.0
    removed_kept: int = 100_000
    max_classes: int = 1_000

    def apply(self, events: Sequence[Event], time: float) -> tuple[list[tuple[int, str]], int]:
        """Rejections (index, reason), and how many edges left by age."""
        rejected = []
        # The arrivals' own clock: the first arrival, and what has passed since, backward steps being nothing.
        self.waited += max(0.0, time - self.arrival) if self.arrival > -math.inf else time
        self.arrival = time
        for index, event in enumerate(events):
            reason = self._one(event, self.clock if self.from_ts else self.waited)
            if reason:
                rejected.append((index, reason))
            elif isinstance(event, RemoveNode | RemoveEdge):
                pass
            elif event.ts is None:
                self.clock = self.clock if self.from_ts else self.waited
            elif self.from_ts:
                self.clock = max(self.clock, event.ts)
            else:
                self.clock, self.from_ts = event.ts, True
                for edge in self.edges.values():
                    edge.ts = event.ts
                for node in self.nodes.values():
                    node.happened(event.ts)
        old = [
            key for key, edge in self.edges.items() if edge.ts < self.clock - (self._rule(key[0]).lifetime or math.inf)
        ]
        for key in old:
            del self.edges[key]
        return rejected, len(old)

    def arcs(self, kind: str = RELATION) -> dict[tuple[str, str], float]:
        """Those of one type."""
        arcs: dict[tuple[str, str], float] = {}
        for (of, *_), edge in self.edges.items():
            ends = {(edge.source, edge.target)}
            if not self._rule(kind).directed:
                ends.add((edge.target, edge.source))
            for arc in ends if of == kind else ():
                arcs[arc] = arcs.get(arc, 0.0) + edge.weight
        return arcs

    def mean_features(self, kind: str) -> dict[tuple[str, str], list[float]]:
        """The mean of what the features of the edges of each arc enter as, by weight."""
        sums: dict[tuple[str, str], np.ndarray] = {}
        for (of, *_), edge in self.edges.items():
            ends = {(edge.source, edge.target)}
            if not self._rule(kind).directed:
                ends.add((edge.target, edge.source))
            for arc in ends if of == kind else ():
                sums[arc] = sums.get(arc, 0.0) + edge.weight * np.arcsinh(edge.x)
        weights = self.arcs(kind)
        return {arc: (total / weights[arc]).tolist() for arc, total in sums.items()}

    def _rule(self, kind: str) -> RelationRule:
        return self.rules[kind] if self.rules else RelationRule(self.directed, self.lifetime)

    def set_clock(self, time: float | None, arrival: float) -> None:
        self.waited += max(0.0, arrival - self.arrival) if self.arrival > -math.inf else arrival
        self.arrival = arrival
        if time is None:
            self.clock, self.from_ts = self.waited, False
        else:
            self.clock = time
            self.waited = self.waited if self.from_ts else time
        for edge in self.edges.values():
            edge.ts = self.clock if time is None else min(edge.ts, self.clock)
        for node in self.nodes.values():
            node.happened(self.clock, only_later=time is not None)

    def structure(self, name: str) -> list[int]:
        """What the edges of a node come to, in steps."""
        node, into, out = self.nodes[name], list[float](), list[float]()
        for kind in self.rules or [RELATION]:
            arcs = self.arcs(kind).items()
            into += [weight for (_, target), weight in arcs if target == name]
            out += [weight for (source, _), weight in arcs if source == name and self._rule(kind).directed]
        age, gap = (node.last - node.first, node.gap) if self.from_ts else (0.0, 0.0)
        return [
            *(_step(len(weights), 1) for weights in (into, out)),
            *(_step(value, 16) for value in (sum(into), sum(out), age, gap)),
        ]

    def _ahead(self, ts: float) -> bool:
        lifetimes = [rule.lifetime for rule in self.rules.values()] if self.rules else [self.lifetime]
        lifetime = max((each for each in lifetimes if each is not None), default=None)
        if self.ahead_max is None and lifetime is None:
            return False
        most = self.ahead_max or max(1e6 * (lifetime or 0), self.clock)
        if not self.from_ts or (self.ahead_max is None and self.clock <= 0):
            return ts > max(most, 2.0**63)
        return ts - self.clock > most

    def _one(self, event: Event, time: float) -> str | None:
        if isinstance(event, UpsertNode) and isinstance(event.x, list) and self.width is None:
            self.width = len(event.x)  # whatever becomes of the event
        if isinstance(event, UpsertNode) and event.ts is not None and self._ahead(event.ts):
            return "ts-ahead"
        if isinstance(event, UpsertEdge | RemoveEdge):
            return self._of_type(event, event.type or RELATION, time)
        node = str(event.id)
        if isinstance(event, UpsertNode):
            return self._upsert_node(event, node)
        if node not in self.nodes:
            return "removed-node" if node in self.removed else "unknown-node"
        if isinstance(event, LabelNode):
            return self._label_node(event, node)
        del self.nodes[node]
        self.removed[node] = None
        if len(self.removed) > self.removed_kept:
            del self.removed[next(iter(self.removed))]
        self.edges = {key: edge for key, edge in self.edges.items() if node not in (edge.source, edge.target)}
        return None

    def _label_node(self, event: LabelNode, node: str) -> str | None:
        if event.ts is not None and self._ahead(event.ts):
            return "ts-ahead"
        if not self._may_be_class(str(event.label)):
            return "too-many-classes"
        self._label(node, str(event.label))
        return None

    def _of_type(self, event: UpsertEdge | RemoveEdge, kind: str, time: float) -> str | None:
        if kind not in (self.rules or [RELATION]):
            return "unknown-type"
        if self._rule(kind).ids != (event.id is not None):
            return "edge-id"
        if isinstance(event, UpsertEdge) and event.x is not None and not self._fits(event.x, kind):
            return "feature-width"
        if isinstance(event, RemoveEdge) and event.id is not None:
            return None if self.edges.pop((kind, str(event.id)), None) else "unknown-edge"
        return self._edge(event, kind, str(event.src), str(event.dst), time)

    def _fits(self, x: list[float] | SparseFeatures, kind: str) -> bool:
        width = self._rule(kind).width
        return width > 0 and (len(x) == width if isinstance(x, list) else max(x.indices, default=0) < width)

    def _edge(self, event: UpsertEdge | RemoveEdge, kind: str, source: str, target: str, time: float) -> str | None:
        if source in self.removed or target in self.removed:
            return "removed-node"
        turned = event.id is None and not self._rule(kind).directed and source > target
        ends = (target, source) if turned else (source, target)
        key = (kind, *ends) if event.id is None else (kind, str(event.id))
        if isinstance(event, RemoveEdge):
            return None if self.edges.pop(key, None) else "unknown-edge"
        if event.ts is not None and self._ahead(event.ts):
            return "ts-ahead"
        for node in (source, target):
            self.nodes.setdefault(node, Node())
        width = self._rule(kind).width
        edge = self.edges.setdefault(key, Edge(*ends, x=[0.0] * width))
        if event.x is not None:
            entries = (
                dict(enumerate(event.x))
                if isinstance(event.x, list)
                else dict(zip(event.x.indices, event.x.values, strict=True))
            )
            edge.x = [entries.get(at, 0.0) for at in range(width)]
        edge.source, edge.target = ends
        edge.ts = time if event.ts is None else event.ts
        if event.weight is not None:
            edge.weight = float(np.float32(event.weight))
        for node in dict.fromkeys((source, target)):
            self.nodes[node].note(edge.ts)
        return None

    def _upsert_node(self, event: UpsertNode, node: str) -> str | None:
        x = event.x
        if isinstance(x, SparseFeatures):
            if self.width is None or max(x.indices, default=0) >= self.width:
                return "feature-width"
            entries = dict(zip(x.indices, x.values, strict=True))
            x = [entries.get(at, 0.0) for at in range(self.width)]
        elif x is not None and self.width != len(x):
            return "feature-width"
        if event.label is not None and not self._may_be_class(str(event.label)):
            return "too-many-classes"
        self.removed.pop(node, None)
        held = self.nodes.setdefault(node, Node())
        held.x = x if x is not None else held.x
        if event.label is not None:
            self._label(node, str(event.label))
        return None

    def _may_be_class(self, label: str) -> bool:
        return label in self.classes or len(self.classes) < self.max_classes

    def _label(self, node: str, label: str) -> None:
        self.nodes[node].label = label
        if label not in self.classes:
            self.classes.append(label)


def _step(value: float, one: int) -> int:
    return min(max(round(math.log2(value)) + one, 1), 47) if value > 0 else 0


RULES = {
    "knows": RelationRule(),
    "sent": RelationRule(True, 5.0),
    "used": RelationRule(False, 2.0),
    "paid": RelationRule(True, 5.0, True, 2),
    "met": RelationRule(False, None, True),
    "rated": RelationRule(False, 5.0, width=1),
}
_kinds = st.sampled_from([*RULES, *RULES, *RULES, None, "other"])
_edge_ids = st.sampled_from("1234")
_ids = st.sampled_from("abcdef")
_times = st.none() | st.integers(-2, 20).map(float) | st.sampled_from([4.9e6, 5.1e6, 9.9e6, 1e12, 1e20, 1e30])
"""Some lie on either side of what is believed, from 0 or from one another."""
_labels = st.sampled_from("xyz")
_values = st.sampled_from([0.0, 1.0, -2.5])
_dense = st.lists(_values, min_size=2, max_size=2) | st.just([1.0, 2.0, 3.0])
_sparse = st.sampled_from(
    [
        SparseFeatures([], []),
        SparseFeatures([1], [4.0]),
        SparseFeatures([1, 0], [0.0, 3.0]),
        SparseFeatures([2], [1.0]),
    ]
)
_weights = st.sampled_from([None, 1.0, 0.25, 3.0, 1e30])
_edge_x = st.lists(_values, min_size=1, max_size=2) | st.just(SparseFeatures([1], [4.0]))
_upsert_edge = st.builds(UpsertEdge, _ids, _ids, _weights, _times)
events: st.SearchStrategy[Event] = st.one_of(
    _upsert_edge,
    _upsert_edge,
    _upsert_edge,
    st.builds(RemoveEdge, _ids, _ids),
    st.builds(UpsertNode, _ids, st.none() | _dense | _sparse, st.none() | _labels, _times),
    st.builds(RemoveNode, _ids),
    st.builds(LabelNode, _ids, _labels, _times),
)
typed_events: st.SearchStrategy[Event] = st.one_of(
    st.builds(UpsertEdge, _ids, _ids, _weights, _times, st.sampled_from(["paid", "met"]), _edge_ids),
    st.builds(UpsertEdge, _ids, _ids, _weights, _times, st.just("paid"), _edge_ids, _edge_x),
    st.builds(UpsertEdge, _ids, _ids, _weights, _times, st.just("rated"), st.none(), st.none() | _edge_x),
    st.builds(RemoveEdge, st.none(), st.none(), st.sampled_from(["paid", "met"]), _edge_ids),
    st.builds(UpsertEdge, _ids, _ids, _weights, _times, _kinds, st.none() | _edge_ids),
    st.builds(UpsertEdge, _ids, _ids, _weights, _times, _kinds),
    st.builds(RemoveEdge, _ids, _ids, _kinds),
    events,
)
"""Of a graph with these rules; some are of types that it does not have."""
typed_batches = st.lists(st.tuples(st.lists(typed_events, max_size=25), st.integers(0, 20).map(float)), max_size=8)
batches = st.lists(st.tuples(st.lists(events, max_size=25), st.integers(0, 20).map(float)), max_size=8)
bounds = st.tuples(st.sampled_from([0, 1, 2, 100]), st.sampled_from([0, 1, 2, 100]))
"""Removed ids that are remembered, and classes."""
ahead_maxes = st.sampled_from([None, None, 6.0])
clock_settings = st.dictionaries(st.integers(0, 7), st.none() | st.integers(-2, 20).map(float), max_size=2)
"""Number of a batch, to what the clock is set to before it."""
