"""Nodes of several types: the graph holds each type's features, refuses another type, and keeps all in its state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.event_codec import encode_log
from olad_core.events import Event, GraphSchema, RemoveNode, SparseFeatures, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.graph.event_columns import columns_of_log
from olad_core.graph.state_check import NoState, check_graph_state
from olad_core.graph.typed_features import TypedFeatures
from olad_core.graph_types import NodeType
from olad_core.schema import SchemaConflict
from tests.olad_core.graph.test_store_against_reference import assert_equal_changes

WIDTHS = {"account": 2, "payment": 3, "device": None}
TYPES = {name: NodeType(feature_width=width) for name, width in WIDTHS.items()}
FIRST = {"account": 0, "payment": 3, "device": 7}
"""Columns that show the types, of 8."""

_ids = st.sampled_from("abcdef")
_kinds = st.sampled_from([*TYPES, *TYPES, None, "other"])
_values = st.sampled_from([0.0, 1.0, -2.5])
_x = st.none() | st.lists(_values, min_size=2, max_size=3) | st.just(SparseFeatures([2, 0], [4.0, 1.0]))
_events: st.SearchStrategy[Event] = st.one_of(
    st.builds(UpsertNode, _ids, _x, st.none() | st.just("red"), st.none(), _kinds),
    st.builds(UpsertNode, _ids, _x, st.none(), st.none(), _kinds),
    st.builds(RemoveNode, _ids),
    st.builds(UpsertEdge, _ids, _ids),
)
_batches = st.lists(st.lists(_events, max_size=20), max_size=6)


def typed() -> DynamicGraph:
    graph = DynamicGraph()
    graph.declare(GraphSchema(node_types=TYPES))
    return graph


class Model:
    """What the graph means, one event at a time."""

    def __init__(self) -> None:
        self.nodes: dict[str, tuple[str | None, list[float] | None]] = {}
        self.removed: set[str] = set()

    def apply(self, batch: list[Event]) -> list[tuple[int, str]]:
        reasons = [(at, self._one(event)) for at, event in enumerate(batch)]
        return [(at, reason) for at, reason in reasons if reason is not None]

    def _one(self, event: Event) -> str | None:
        if isinstance(event, UpsertEdge):
            if {event.src, event.dst} & self.removed:
                return "removed-node"
            for end in (event.src, event.dst):
                self.nodes.setdefault(str(end), (None, None))
            return None
        node = str(event.id)
        if isinstance(event, RemoveNode):
            if self.nodes.pop(node, None) is None:
                return "removed-node" if node in self.removed else "unknown-node"
            self.removed.add(node)
            return None
        assert isinstance(event, UpsertNode)
        return self._upsert(event, node)

    def _upsert(self, event: UpsertNode, node: str) -> str | None:
        if event.type not in TYPES:
            return "unknown-type"
        width, x = WIDTHS[event.type] or 0, event.x
        if isinstance(x, SparseFeatures):
            entries = dict(zip(x.indices, x.values, strict=True))
            x = [entries.get(at, 0.0) for at in range(max(width, *(index + 1 for index in x.indices)))]
        if x is not None and (len(x) != width or not width):
            return "feature-width"
        kind, held = self.nodes.get(node, (None, None))
        if kind not in {None, event.type}:
            return "other-type"
        self.removed.discard(node)
        self.nodes[node] = (event.type, held if x is None else x)
        return None

    def row(self, node: str) -> list[float]:
        kind, x = self.nodes[node]
        row = [0.0] * 8
        if kind is not None:
            row[FIRST[kind]] = 1.0
            row[FIRST[kind] + 1 : FIRST[kind] + 1 + len(x or [])] = x or []
        return row


def assert_same(graph: DynamicGraph, model: Model) -> None:
    assert graph.num_nodes == len(model.nodes)
    assert graph.num_features == 8
    rows = graph.rows(model.nodes)
    expected = np.array([model.row(node) for node in model.nodes], np.float32).reshape(-1, 8)
    np.testing.assert_array_equal(graph.features.dense(rows), expected)
    assert graph.features.has(rows).tolist() == [x is not None for _, x in model.nodes.values()]
    assert graph.features.count == sum(x is not None for _, x in model.nodes.values())
    assert isinstance(graph.features, TypedFeatures)
    entries = graph.features.gather(rows)
    found = np.zeros_like(expected)
    found[np.repeat(np.arange(rows.size), np.diff(entries.indptr)), entries.column] = entries.value
    np.testing.assert_array_equal(found, expected)
    dead = np.flatnonzero(~graph.alive)
    assert not graph.features.dense(dead).any()
    assert not graph.features.has(dead).any()


@settings(max_examples=200)
@given(_batches)
def test_every_batch_does_what_its_events_do_one_by_one(batches: list[list[Event]]) -> None:
    graph, model = typed(), Model()
    for batch in batches:
        before = {node: model.row(node) for node in model.nodes}
        rows = dict(zip(before, graph.rows(before).tolist(), strict=True))
        rejected = model.apply(batch)
        changes = graph.apply(columns_of_log(encode_log(batch)), 0.0)
        assert [(rejection.index, rejection.reason) for rejection in changes.rejected] == rejected
        assert_same(graph, model)
        changed = set(graph.ids(changes.features))
        differing = {
            node for node in model.nodes if rows.get(node) == graph.row(node) and before[node] != model.row(node)
        }
        assert differing <= changed


@settings(max_examples=50)
@given(_batches, st.integers(0, 6))
def test_a_restored_graph_goes_on_bit_for_bit(batches: list[list[Event]], cut: int) -> None:
    graph = typed()
    for batch in batches[:cut]:
        graph.apply(batch, 0.0)
    stored = safetensors.numpy.load(safetensors.numpy.save({name: np.asarray(a) for name, a in graph.state().items()}))
    check_graph_state(stored)
    restored = DynamicGraph.from_state(stored)
    assert restored.schema == graph.schema
    for batch in batches[cut:]:
        assert_equal_changes(graph.apply(batch, 0.0), restored.apply(batch, 0.0))
    state, other = graph.state(), restored.state()
    assert state.keys() == other.keys()
    assert [name for name in state if state[name].tobytes() != other[name].tobytes()] == []


def test_a_type_that_is_declared_later_adds_columns_at_the_end() -> None:
    graph = typed()
    graph.apply([UpsertEdge("a", "b"), UpsertNode("a", [1.0, 2.0], type="account")], 0.0)
    graph.declare(GraphSchema(node_types={"shop": NodeType(feature_width=1)}))
    graph.apply([UpsertNode("b", [9.0], type="shop")], 0.0)
    assert graph.features.dense(graph.rows("ab")).tolist() == [[1, 1, 2, *[0] * 7], [*[0] * 8, 1, 9]]


def test_types_are_declared_on_a_graph_that_has_nodes() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertNode("a"), *(UpsertNode(str(number)) for number in range(200))], 0.0)
    graph.declare(GraphSchema(node_types=TYPES))
    assert not graph.features.dense(graph.rows(["a"])).any()
    graph.apply([UpsertNode("a", [1.0, 2.0], type="account")], 0.0)
    assert graph.features.dense(graph.row("a")).tolist() == [1, 1, 2, 0, 0, 0, 0, 0]


def test_rows_are_given_back_and_used_again() -> None:
    graph = typed()
    names = [str(number) for number in range(2000)]
    graph.apply([UpsertNode(name, [1.0, 2.0], type="account") for name in names], 0.0)
    graph.apply([RemoveNode(name) for name in names], 0.0)
    graph.begin_anew()
    graph.apply([UpsertNode("a", type="device")], 0.0)
    assert graph.features.dense(graph.row("a")).tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    assert graph.features.count == 0


@pytest.mark.parametrize("held", [True, False])
def test_a_width_of_all_nodes_and_types_exclude_each_other(held: bool) -> None:
    graph = DynamicGraph() if held else DynamicGraph(feature_width=2)
    if held:
        graph.apply([UpsertNode("a", [1.0])], 0.0)
    with pytest.raises(SchemaConflict, match="nodes have types, each with a feature_width of its own"):
        graph.declare(GraphSchema(node_types=TYPES, feature_width=graph.num_features))
    other = typed()
    with pytest.raises(SchemaConflict, match="nodes have types"):
        other.declare(GraphSchema(feature_width=4))


def test_the_width_of_a_type_stays() -> None:
    graph = typed()
    with pytest.raises(SchemaConflict, match=r"node_types.account.feature_width is 2, which stays"):
        graph.declare(GraphSchema(node_types={"account": NodeType(feature_width=3)}))


@pytest.mark.parametrize("name", ["node_types", "node_kind", "node_type/1/feature_slot", "node_type/0/feature_values"])
def test_arrays_that_are_no_state_are_refused(name: str) -> None:
    graph = typed()
    graph.apply([UpsertNode("a", [1.0, 2.0], type="account"), UpsertNode("p", type="payment")], 0.0)
    state = graph.state()
    check_graph_state(state)
    wrong: dict[str, np.ndarray[Any, Any]] = {
        "node_types": np.frombuffer(b"{}]", np.uint8),
        "node_kind": np.array([3, 0], np.int16),
    }
    state[name] = wrong.get(name, state[name][:0])
    with pytest.raises(NoState):
        check_graph_state(state)
