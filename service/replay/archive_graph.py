"""A whole graph in arrays, and the order in which its nodes and edges arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from olad_core.events import Event, GraphSchema, SparseFeatures, UpsertEdge, UpsertNode
from olad_core.graph_types import EdgeType, NodeType
from service.replay.arrival_stream import Arrival

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SparseRows:
    """Features as CSR: row ``i`` has ``values[indptr[i]:indptr[i + 1]]`` at those ``indices``."""

    values: npt.NDArray[np.float32]
    indices: Ints
    indptr: Ints
    width: int


@dataclass(frozen=True)
class GraphDataset:
    """A graph of N nodes and E edges.

    Attributes:
        labels: class index of each node, ``[N]``; -1 where it is not known.
        classes: class names.
        edges: ``[2, E]`` node indices, each undirected edge once; a repeated contact as often as it happened.
        node_time: ``[N]``, or None where the nodes have no times.
        edge_time: ``[E]``, or None where the edges have no times of their own.
        features: dense float32 ``[N, F]``, sparse rows, or None.
        ids: of the nodes; None where these are their indices.
        edge_weight: ``[E]``, or None where edges have none of their own.
        has_features: ``[N]``, where not every node has features.
        directed: whether edges go one way.
        edge_type: number of each edge's type ``[E]``, or None where edges have one type.
        edge_types: the types by name, in the order of their numbers.
        edge_x: features of the edges, ``[E, D]``, those of each type in its first columns, or None where none has any.
        edge_ids: of the edges ``[E]``, or None where no type has ids; empty where the edge's type has none.
        node_type: number of each node's type ``[N]``, -1 where it is unknown, or None where nodes have one type.
        node_types: the types by name, in the order of their numbers; the first features of a row are those of its type.
    """

    labels: Ints
    classes: tuple[str, ...]
    edges: Ints
    node_time: Floats | None = None
    edge_time: Floats | None = None
    features: npt.NDArray[np.float32] | SparseRows | None = None
    ids: tuple[str, ...] | None = None
    edge_weight: Floats | None = None
    has_features: Bools | None = None
    directed: bool = False
    edge_type: Ints | None = None
    edge_types: Mapping[str, EdgeType] = field(default_factory=dict)
    edge_ids: tuple[str, ...] | None = None
    edge_x: npt.NDArray[np.float32] | None = None
    node_type: Ints | None = None
    node_types: Mapping[str, NodeType] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def event_count(self) -> int:
        """Events of all arrivals, without labels."""
        return len(self) + len(self.edges[0])

    def schema(self, edge_lifetime: float | None = None) -> GraphSchema:
        """The schema to declare before the first event."""
        width = None
        if isinstance(self.features, SparseRows):
            width = self.features.width
        elif self.features is not None and not self.node_types:
            width = self.features.shape[1]
        return GraphSchema(
            feature_width=width,
            classes=self.classes,
            directed=self.directed,
            edge_lifetime=edge_lifetime,
            edge_types=dict(self.edge_types),
            node_types=dict(self.node_types),
        )

    def arrivals(self, seed: int = 0) -> Iterator[Arrival]:
        """Every node in time order with its edges to nodes already there; later edges at their own time.

        Nodes of the same time keep their order. Where only edges have times a node arrives with its
        first edge; where nothing has, nodes arrive in a random order given by ``seed`` and a node's
        time is its place in that order. Where nodes have types, one without a type arrives with the first edge that
        creates it.
        """
        return self._in_order(seed) if self.node_type is None else _once_created(self._in_order(seed))

    def _in_order(self, seed: int) -> Iterator[Arrival]:
        node_time = self._node_time(seed)
        order = np.argsort(node_time, kind="stable")
        rank = np.empty(len(self), np.int64)
        rank[order] = np.arange(len(self))
        sorted_time = node_time[order]

        arrival_rank = rank[self.edges].max(axis=0)
        known_at = sorted_time[arrival_rank]
        edge_time = known_at if self.edge_time is None else np.maximum(self.edge_time, known_at)
        late = edge_time > known_at
        # A late edge comes after every node of its time, so before the node of rank `slot`.
        slot = np.where(late, np.searchsorted(sorted_time, edge_time, side="right"), arrival_rank)

        late_edges = np.flatnonzero(late)
        late_edges = late_edges[np.lexsort((edge_time[late_edges], slot[late_edges]))]
        own_edges = np.flatnonzero(~late)
        own_edges = own_edges[np.argsort(slot[own_edges], kind="stable")]
        slots = np.arange(len(self) + 1)
        late_from = np.append(np.searchsorted(slot[late_edges], slots), len(late_edges))
        own_from = np.searchsorted(slot[own_edges], slots)

        for place, node in enumerate(order.tolist()):
            for edge in late_edges[late_from[place] : late_from[place + 1]]:
                yield Arrival((self._edge(edge, edge_time),))
            own = own_edges[own_from[place] : own_from[place + 1]]
            edges = tuple(self._edge(edge, edge_time) for edge in own)
            yield self._arrival(node, float(node_time[node]), edges)
        for edge in late_edges[late_from[-2] :]:
            yield Arrival((self._edge(edge, edge_time),))

    def _node_time(self, seed: int) -> Floats:
        if self.node_time is not None:
            return self.node_time
        if self.edge_time is not None and len(self.edge_time):
            first = np.full(len(self), self.edge_time.min())
            seen = np.full(len(self), np.inf)
            for end in self.edges:
                np.minimum.at(seen, end, self.edge_time)
            return np.where(np.isfinite(seen), seen, first)
        return np.random.default_rng(seed).permutation(len(self)).astype(np.float64)

    def _arrival(self, node: int, time: float, edges: tuple[UpsertEdge, ...]) -> Arrival:
        label = int(self.labels[node])
        name = str(self._id(node))
        upsert: tuple[UpsertNode, ...] = (UpsertNode(id=self._id(node), x=self._features(node), ts=time),)
        if self.node_type is not None:
            upsert = self._typed(upsert[0], int(self.node_type[node]))
        return Arrival(
            events=(*upsert, *edges),
            node=name,
            truth=None if label < 0 else (name, self.classes[label]),
        )

    def _typed(self, upsert: UpsertNode, kind: int) -> tuple[UpsertNode, ...]:
        """The node with its type and the features of that; nothing where its type is unknown: its edges create it."""
        if kind < 0:
            return ()
        upsert.type, width = [(name, each.feature_width) for name, each in self.node_types.items()][kind]
        upsert.x = upsert.x[:width] if isinstance(upsert.x, list) and width is not None else None
        return (upsert,)

    def _features(self, node: int) -> list[float] | SparseFeatures | None:
        if self.features is None or (self.has_features is not None and not self.has_features[node]):
            return None
        if isinstance(self.features, SparseRows):
            row = slice(*self.features.indptr[node : node + 2].tolist())
            return SparseFeatures(self.features.indices[row].tolist(), self.features.values[row].tolist())
        row_values: list[float] = self.features[node].tolist()
        return row_values

    def _edge(self, edge: np.int64, edge_time: Floats) -> UpsertEdge:
        src, dst = self.edges[:, edge].tolist()
        weight = None if self.edge_weight is None else float(self.edge_weight[edge])
        kind = None if self.edge_type is None else [*self.edge_types][self.edge_type[edge]]
        name = None if self.edge_ids is None else self.edge_ids[edge] or None
        width = self.edge_types[kind].feature_width if kind is not None else None
        x = self.edge_x[edge, :width].tolist() if self.edge_x is not None and width else None
        return UpsertEdge(self._id(src), self._id(dst), weight, float(edge_time[edge]), kind, name, x)

    def _id(self, node: int) -> str | int:
        return node if self.ids is None else self.ids[node]


def _once_created(arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
    """Arrivals in the same order, but a node that no event has created yet comes right after the first that does."""
    waiting: dict[str, Arrival] = {}
    for arrival in arrivals:
        names = {str(end) for event in arrival.events for end in _nodes_of(event)}
        if arrival.node is None or arrival.node in names:
            yield arrival
        else:
            waiting[arrival.node] = arrival
        for name in sorted(names & waiting.keys()):
            yield waiting.pop(name)


def _nodes_of(event: Event) -> tuple[str | int, ...]:
    """The nodes that an event creates."""
    if isinstance(event, UpsertEdge):
        return event.src, event.dst
    return (event.id,) if isinstance(event, UpsertNode) else ()
