"""The part of one rank out of parts that were written by another number of ranks, or out of a whole graph.

The parts are read one after the other. Of each only what the rank needs is kept: its nodes, their edges, and the ids
and numbers of the nodes at the other ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import Bools, Float32s, Float64s, Int16s, Int32s, Int64s, UInt8s
from olad_core.graph.edge_arrays import EdgeList
from olad_core.graph.relations import RelationRule, Relations, parts_of, rules_in
from olad_core.graph.store import FEWEST_ROWS
from olad_core.graph.text import pack
from olad_core.graph.text_loops import Slices
from olad_core.graph.text_table import slices_of
from olad_core.graph.typed_features import part_name
from olad_core.graph_types import RELATION
from olad_core.named_state import join_parts, take_part
from olad_core.partition.placement import owners

Arrays = Mapping[str, npt.NDArray[Any]]

EDGES_AT_ONCE = 1_000_000
_STRUCTURE = {"structure": 0, "edge_first": np.nan, "edge_last": np.nan, "edge_gap": 0}
"""Arrays about the edges of a node, and what they hold where there is none."""
_OF_GRAPH = (
    "feature_width",
    "feature_width_held",
    "directed",
    "edge_lifetime",
    "ts_ahead_max",
    "decisions",
    "node_types",
    "edge_types",
    "tasks",
    "clock",
    "clock_from_ts",
    "clock_arrival",
    "clock_shift",
    "structure_due",
    "classes",
    "class_offsets",
    "relations",
)
"""Arrays that are the same in all parts; a graph may lack some."""


@dataclass(frozen=True)
class Source:
    """A part of a graph as it was written.

    Attributes:
        state: of :meth:`~olad_core.partition.store.PartitionStore.state`.
        rank: whose part it is.
        ranks: how many there were.
    """

    state: Arrays
    rank: int
    ranks: int


def whole_graph(state: Arrays) -> Source:
    """A graph that no partitions hold.

    Args:
        state: of :meth:`~olad_core.graph.DynamicGraph.state`.
    """
    return Source({"number": state["arrival"], **join_parts({"graph": state, "directory": state})}, 0, 1)


class _Nodes(NamedTuple):
    """Nodes out of one part.

    Attributes:
        number: int64 ``[n]``.
        text: UTF-8 of their ids, one after the other.
        length: int32 ``[n]``, bytes of each id.
        owned: bool ``[n]``: whether the rank owns them. Of the others only id, number and type are known.
        columns: of the owned ones, by the names of the graph's state.
        features: of the owned ones, by the name of the table: which have some, and these.
        kind: int16 ``[n]``; None where nodes have no types.
    """

    number: Int64s
    text: UInt8s
    length: Int32s
    owned: Bools
    columns: dict[str, npt.NDArray[Any]]
    features: dict[str, tuple[Bools, Float32s]]
    kind: Int16s | None


class _Edges(NamedTuple):
    """Edges of one type out of one part.

    Attributes:
        source: int64 ``[n]``, number of the node.
        target: int64 ``[n]``.
        weight: float32 ``[n]``.
        time: float64 ``[n]``.
        x: float32 ``[n, width]``.
    """

    source: Int64s
    target: Int64s
    weight: Float32s
    time: Float64s
    x: Float32s


def part_state(sources: Iterable[Source], rank: int, ranks: int) -> dict[str, npt.NDArray[Any]]:
    """The state of a rank's part (:meth:`~olad_core.partition.store.PartitionStore.from_state`).

    Args:
        sources: all parts of the graph; each is forgotten before the next is taken. No edge has an id of its own.
        rank: whose part is wanted.
        ranks: how many there are to be.
    """
    nodes: list[_Nodes] = []
    edges: list[list[_Edges]] = []
    shared: dict[str, npt.NDArray[Any]] = {}
    directory: dict[str, npt.NDArray[Any]] = {}
    rules: Mapping[str, RelationRule] = {}
    for source in sources:
        graph = take_part(source.state, "graph")
        if not shared:
            shared = {name: graph[name] for name in _OF_GRAPH if name in graph}
            directory = {
                name: array
                for name, array in take_part(source.state, "directory").items()
                if name in {"removed_ids", "removed_id_offsets", "arrivals", "classes", "class_offsets"}
            }
            rules = _rules(graph)
        of_source = _Part(source, graph, rank, ranks)
        edges.append([of_source.edges(part) for _, part in parts_of(graph)])
        nodes.append(of_source.nodes())
    return _joined(nodes, [list(each) for each in zip(*edges, strict=True)], shared, directory, rules)


def _rules(graph: Arrays) -> Mapping[str, RelationRule]:
    lifetime = float(graph["edge_lifetime"])
    alone = RelationRule(bool(graph["directed"]), None if math.isnan(lifetime) else lifetime)
    return rules_in(graph) or {RELATION: alone}


class _Part:
    """What a rank needs of one part that was written."""

    def __init__(self, source: Source, graph: Arrays, rank: int, ranks: int) -> None:
        self._graph, self._rank = graph, rank
        self._number: Int64s = source.state["number"]
        self._ids = slices_of(graph["ids"].astype(np.uint8), graph["id_offsets"].astype(np.int64))
        there = self._ids.length > 0
        self._owned = there & (owners(self._ids, source.ranks) == source.rank)
        self._owner = np.where(there, owners(self._ids, ranks), -1)
        self._wanted = self._owned & (self._owner == rank)

    def nodes(self) -> _Nodes:
        """The nodes; after the edges, which say whose copies are needed."""
        graph, rows = self._graph, np.flatnonzero(self._wanted)
        owned = self._owned[rows] & (self._owner[rows] == self._rank)
        own = rows[owned]
        names = ("label", *(name for name in _STRUCTURE if name in graph))
        tables = [""] if "node_types" not in graph else _tables(graph)
        features = {}
        for table in tables:
            part = take_part(graph, table) if table else graph
            slot = part["feature_slot"][own]
            features[table] = slot > 0, np.asarray(part["feature_values"][slot[slot > 0] - 1])
        return _Nodes(
            self._number[rows],
            _text_of(self._ids, rows),
            self._ids.length[rows],
            owned,
            {name: np.asarray(graph[name][own]) for name in names},
            features,
            graph["node_kind"][rows] if "node_kind" in graph else None,
        )

    def edges(self, part: Arrays) -> _Edges:
        """The edges of one type. One that two parts have is taken from that of the end with the smaller number."""
        found = [self._taken(piece) for piece in (_listed(part) if "parallel_source" in part else _pairs(part))]
        return _Edges(*map(np.concatenate, zip(*found, strict=True)))

    def _taken(self, edges: _Edges) -> _Edges:
        """Those of edges between rows that the rank needs."""
        source, target = edges.source, edges.target
        first = np.where(self._number[source] <= self._number[target], source, target)
        mine = (self._owner[source] == self._rank) | (self._owner[target] == self._rank)
        kept = np.flatnonzero(self._owned[first] & mine)
        taken = _Edges._make(column[kept] for column in edges)
        self._wanted[taken.source] = self._wanted[taken.target] = True
        return taken._replace(source=self._number[taken.source], target=self._number[taken.target])


def _tables(graph: Arrays) -> list[str]:
    names = [name for name in graph if name.endswith("/feature_slot")]
    return [part_name(number) for number in range(len(names))]


def _pairs(part: Arrays) -> Iterator[_Edges]:
    """Edges between rows, in pieces."""
    side = "outgoing" if "outgoing_offset" in part else "incoming"
    keys = part["edge_key"]
    for first in range(0, max(1, keys.size), EDGES_AT_ONCE):
        piece = slice(first, first + EDGES_AT_ONCE)
        source, target = keys[piece] >> 32, keys[piece] & 0xFFFFFFFF
        weight = part[f"{side}_weight"][part[f"{side}_offset"][source] + part["edge_place_source"][piece]]
        yield _Edges(source, target, weight, part["edge_time"][piece], np.zeros((source.size, 0), np.float32))


def _listed(part: Arrays) -> Iterator[_Edges]:
    """Edges between rows that have features."""
    used = np.flatnonzero(part["parallel_source"] >= 0)
    source, target = (part[f"parallel_{end}"][used].astype(np.int64) for end in ("source", "target"))
    yield _Edges(source, target, *(part[f"parallel_{name}"][used] for name in ("weight", "time", "x")))


def _joined(
    nodes: Sequence[_Nodes],
    edges: Sequence[Sequence[_Edges]],
    shared: dict[str, npt.NDArray[Any]],
    directory: dict[str, npt.NDArray[Any]],
    rules: Mapping[str, RelationRule],
) -> dict[str, npt.NDArray[Any]]:
    """The state of a part, whose rows are in the order of the nodes' numbers."""
    number = np.concatenate([each.number for each in nodes])
    owned = np.concatenate([each.owned for each in nodes])
    order = np.lexsort((~owned, number))
    first = np.ones(order.size, np.bool_)
    first[1:] = np.diff(number[order]) != 0
    chosen = order[first]
    number, end = number[chosen], chosen.size
    owns = owned[chosen]
    # Where an owned node stands among all owned ones that were gathered.
    of_owned = (np.cumsum(owned) - 1)[chosen[owns]]

    lengths = np.concatenate([each.length for each in nodes])
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    texts = Slices(np.concatenate([each.text for each in nodes]), starts, lengths)
    graph: dict[str, npt.NDArray[Any]] = dict(shared)
    graph["ids"] = _text_of(texts, chosen)
    graph["id_offsets"] = np.concatenate([[0], np.cumsum(lengths[chosen], dtype=np.int64)])
    graph["removed_ids"], graph["removed_id_offsets"] = pack([])
    graph["free_rows"] = np.empty(0, np.int64)
    graph["arrivals"], graph["arrival"] = np.array(end, np.int64), np.arange(end)
    # As in any graph: twice the fewest at least, once it has grown.
    graph["capacity"] = np.array(FEWEST_ROWS if end <= FEWEST_ROWS else max(end, 2 * FEWEST_ROWS), np.int64)
    for name, nothing in {"label": -1, **_STRUCTURE}.items():
        if name not in nodes[0].columns:
            continue
        gathered = np.concatenate([each.columns[name] for each in nodes])
        graph[name] = np.full((end, *gathered.shape[1:]), nothing, gathered.dtype)
        graph[name][owns] = gathered[of_owned]
    if nodes[0].kind is not None:
        graph["node_kind"] = np.concatenate([each.kind for each in nodes if each.kind is not None])[chosen]
    for table in nodes[0].features:
        has = np.concatenate([each.features[table][0] for each in nodes])
        values = np.concatenate([each.features[table][1] for each in nodes])
        place = (np.cumsum(has) - 1)[of_owned]
        has = has[of_owned]
        slot = np.zeros(end, np.int32)
        slot[np.flatnonzero(owns)[has]] = np.arange(1, int(has.sum()) + 1)
        prefix = f"{table}/" if table else ""
        graph[f"{prefix}feature_slot"], graph[f"{prefix}feature_values"] = slot, values[place[has]]
        graph[f"{prefix}feature_free_slots"] = np.empty(0, np.int64)
    relations = Relations(rules, end)
    for relation, pieces in enumerate(edges):
        _insert(relations, relation, _Edges(*map(np.concatenate, zip(*pieces, strict=True))), number)
    state = relations.state(end)
    return {"number": number, **join_parts({"graph": {**graph, **state}, "directory": directory})}


def _insert(relations: Relations, relation: int, edges: _Edges, number: Int64s) -> None:
    """Insert edges whose ends are named by number, in the order of these."""
    order = np.lexsort((edges.target, edges.source))
    for at in range(0, order.size, EDGES_AT_ONCE):
        piece = order[at : at + EDGES_AT_ONCE]
        ends = np.searchsorted(number, edges.source[piece]), np.searchsorted(number, edges.target[piece])
        of_type, none = np.full(piece.size, relation), np.full(piece.size, -1)
        listed = EdgeList(*ends, edges.weight[piece], edges.time[piece], of_type, none)
        relations.insert(listed, relation, edges.x[piece])


def _text_of(texts: Slices, chosen: Int64s) -> UInt8s:
    """The bytes of some texts, one after the other; nobody may write to them."""
    length = texts.length[chosen].astype(np.int64)
    before = np.cumsum(length) - length
    found = texts.text[np.repeat(texts.start[chosen] - before, length) + np.arange(int(length.sum()))]
    found.flags.writeable = False
    return found
