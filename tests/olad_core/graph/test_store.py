"""What users of the store rely on, one behaviour a test."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.events import GraphSchema, LabelNode, RemoveEdge, RemoveNode, SparseFeatures, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph, Rejection, SchemaConflict


def test_a_late_edge_does_not_bring_a_removed_node_back() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertEdge(src="a", dst="b"), RemoveNode(id="a")], time=0.0)
    changes = graph.apply([UpsertEdge(src="a", dst="new")], time=1.0)
    assert changes.rejected == [
        Rejection(0, "upsert_edge", "removed-node", "node 'a' was removed; an upsert_node brings it back")
    ]
    assert graph.rows(["a", "b", "new"]).tolist() == [-1, graph.row("b"), -1]


def test_a_node_that_comes_back_is_a_new_one() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertNode(id="a", x=[1.0], label="x"), UpsertEdge(src="a", dst="b")], time=0.0)
    old = graph.row("a")
    changes = graph.apply([RemoveNode(id="a"), UpsertNode(id="a")], time=1.0)
    row = graph.row("a")
    assert (changes.removed_rows.tolist(), changes.removed_ids, changes.created.tolist()) == ([old], ["a"], [row])
    assert row != old
    assert graph.label[row] == -1
    assert not graph.has_features[row]
    assert graph.in_degree(np.array([row])).tolist() == [0]


def test_rows_are_used_again_from_the_next_batch_on() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertNode(id="a", x=[1.0], label="x")], time=0.0)
    row = graph.row("a")
    graph.apply([RemoveNode(id="a"), UpsertNode(id="b")], time=0.0)
    assert graph.row("b") != row
    graph.apply([UpsertNode(id="c")], time=0.0)
    assert graph.row("c") == row
    assert graph.arrival[[graph.row("b"), graph.row("c")]].tolist() == [1, 2]


def test_ids_and_labels_may_be_integers() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertEdge(src=1, dst="2"), UpsertEdge(src="1", dst=2), LabelNode(id=1, label=7)], time=0.0)
    assert (graph.num_nodes, graph.num_edges, graph.classes) == (2, 1, ["7"])


def test_labels_are_told_in_the_order_of_their_last_event() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertNode(id=node, label="x") for node in "abc"], time=0.0)
    batch = [LabelNode(id="a", label="y"), LabelNode(id="b", label="x"), LabelNode(id="a", label="y")]
    changes = graph.apply([*batch, UpsertNode(id="d", label="y")], time=0.0)
    assert graph.ids(changes.labelled) == ["b", "a", "d"]
    assert changes.relabelled.tolist() == [False, True, False]


def test_features_that_stay_the_same_are_no_change() -> None:
    graph = DynamicGraph(feature_width=3)
    graph.apply([UpsertNode(id="a", x=SparseFeatures([2], [5.0])), UpsertNode(id="b")], time=0.0)
    changes = graph.apply([UpsertNode(id="a", x=[0.0, 0.0, 5.0]), UpsertNode(id="b", x=[0.0, 0.0, 0.0])], time=0.0)
    assert changes.features.tolist() == [graph.row("b")]


@pytest.mark.parametrize(
    ("x", "detail"),
    [
        ([1.0], "1 features where this graph's nodes have 2"),
        (SparseFeatures([0, 5], [1.0, 1.0]), "index 5 is not below the feature width 2"),
    ],
)
def test_an_event_with_other_features_than_held_does_nothing(x: list[float] | SparseFeatures, detail: str) -> None:
    graph = DynamicGraph()
    graph.apply([UpsertNode(id="a", x=[1.0, 2.0])], time=0.0)
    changes = graph.apply([UpsertNode(id="b", x=x, label="new", ts=9.0)], time=0.0)
    assert changes.rejected == [Rejection(0, "upsert_node", "feature-width", detail)]
    assert (graph.num_nodes, graph.classes, graph.clock) == (1, [], 0.0)


def test_the_smallest_weight_is_still_an_edge() -> None:
    graph = DynamicGraph()
    changes = graph.apply([UpsertEdge(src="a", dst="b", weight=1e-300)], time=0.0)
    assert graph.num_edges == 1
    assert (changes.weight_after > 0).all()
    assert changes.edge_source.size == 2


def test_a_heavy_edge_leaves_no_trace_in_the_sum_of_weights() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertEdge(src="a", dst="b", weight=1.5), UpsertEdge(src="a", dst="c", weight=1e38)], time=0.0)
    graph.apply([RemoveEdge(src="c", dst="a")], time=0.0)
    assert graph.in_weight[graph.row("a")] == 1.5


def test_edges_leave_when_they_are_older_than_the_lifetime() -> None:
    graph = DynamicGraph(edge_lifetime=10.0)
    graph.apply([UpsertEdge(src="a", dst="b", ts=0.0), UpsertEdge(src="b", dst="c", ts=1.0)], time=0.0)
    assert graph.apply([UpsertNode(id="a", ts=10.0)], time=0.0).expired == 0
    changes = graph.apply([UpsertNode(id="a", ts=10.5)], time=0.0)
    assert (changes.expired, graph.num_edges, graph.num_nodes) == (1, 1, 3)
    assert graph.ids(changes.edge_source) == ["a", "b"]
    assert changes.weight_after.tolist() == [0.0, 0.0]


def test_an_edge_lives_from_its_last_time_even_an_earlier_one() -> None:
    graph = DynamicGraph(edge_lifetime=10.0)
    graph.apply([UpsertEdge(src="a", dst="b", ts=0.0), UpsertEdge(src="c", dst="d", ts=0.0)], time=0.0)
    graph.apply([UpsertEdge(src="a", dst="b", ts=9.0)], time=0.0)
    assert graph.apply([UpsertNode(id="a", ts=12.0)], time=0.0).expired == 1
    assert graph.apply([UpsertEdge(src="a", dst="b", ts=1.0)], time=0.0).expired == 1
    assert graph.num_edges == 0


def test_removals_do_not_move_the_clock() -> None:
    graph = DynamicGraph(edge_lifetime=10.0)
    graph.apply([UpsertEdge(src="a", dst="b", ts=0.0), UpsertEdge(src="a", dst="c", ts=0.0)], time=5.0)
    changes = graph.apply([RemoveEdge(src="a", dst="c"), RemoveNode(id="c")], time=1e9)
    assert (graph.clock, changes.expired, graph.num_edges) == (0.0, 0, 1)


def test_a_shorter_lifetime_acts_with_the_next_batch() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertEdge(src="a", dst="b", ts=0.0), UpsertEdge(src="a", dst="c", ts=8.0)], time=0.0)
    graph.declare(GraphSchema(edge_lifetime=5.0))
    assert graph.apply([], time=0.0).expired == 1
    graph.declare(GraphSchema())
    assert graph.apply([UpsertNode(id="a", ts=100.0)], time=0.0).expired == 0


def test_a_schema_change_adds_classes_a_width_and_a_direction() -> None:
    graph = DynamicGraph(classes=["x"])
    graph.apply([UpsertNode(id="a", label="y")], time=0.0)
    graph.declare(GraphSchema(classes=("z", "y"), feature_width=2, directed=True))
    assert (graph.classes, graph.num_features, graph.directed) == (["x", "y", "z"], 2, True)
    graph.apply([UpsertNode(id="a", x=[1.0, 2.0]), UpsertEdge(src="a", dst="b")], time=0.0)
    assert graph.features[graph.row("a")].tolist() == [1.0, 2.0]
    assert graph.in_degree(graph.rows(["a", "b"])).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        (GraphSchema(feature_width=3, classes=("new",)), "feature_width"),
        (GraphSchema(directed=True, classes=("new",)), "directed"),
    ],
)
def test_a_schema_change_that_the_graph_cannot_follow_changes_nothing(schema: GraphSchema, field: str) -> None:
    graph = DynamicGraph(feature_width=2)
    graph.apply([UpsertEdge(src="a", dst="b")], time=0.0)
    with pytest.raises(SchemaConflict, match=field):
        graph.declare(schema)
    assert (graph.classes, graph.num_features, graph.directed) == ([], 2, False)


def test_rows_that_hold_no_node() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertNode(id="a"), UpsertNode(id="b"), RemoveNode(id="b")], time=0.0)
    with pytest.raises(KeyError):
        graph.row("b")
    for row in (1, 2, -1):
        with pytest.raises(KeyError, match=f"row {row} holds no node"):
            graph.ids([row])
    for row in (-1, graph.capacity):
        with pytest.raises(IndexError, match="rows are 0 to 63"):
            graph.in_neighbours(np.array([row]))
    assert graph.in_neighbours(np.array([1, 63])).indptr.tolist() == [0, 0, 0]
    assert graph.in_neighbours(np.array([], np.int64)).indptr.tolist() == [0]


def test_the_row_arrays_grow_with_the_graph() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertNode(id="first", x=[1.0, 2.0], label="x"), UpsertEdge(src="first", dst="second")], time=0.0)
    graph.apply([UpsertNode(id=f"n{i}") for i in range(100)], time=0.0)
    assert graph.capacity == 128
    assert graph.features[graph.row("first")].tolist() == [1.0, 2.0]
    assert graph.in_weight.size == graph.label.size == graph.arrival.size == 128
    assert (graph.label[1:] == -1).all()


def test_a_restored_graph_shares_nothing_with_the_state_it_is_of() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertNode(id="a", x=[1.0]), UpsertEdge(src="a", dst="b")], time=0.0)
    state = graph.state()
    restored = DynamicGraph.from_state(state)
    for array in state.values():
        array.fill(0)
    assert restored.features[restored.row("a")].tolist() == [1.0]
    assert restored.ids(restored.in_neighbours(restored.rows(["a"])).index) == ["b"]


@pytest.mark.parametrize("directed", [False, True])
def test_a_self_loop_keeps_its_own_weight_when_neighbours_come_and_go(directed: bool) -> None:
    graph = DynamicGraph(directed=directed)
    graph.apply([UpsertEdge(src="a", dst="b"), UpsertEdge(src="b", dst="a"), UpsertEdge(src="a", dst="a")], time=0.0)
    graph.apply([RemoveEdge(src="a", dst="b"), RemoveEdge(src="b", dst="a")], time=0.0)
    graph.apply([UpsertEdge(src="c", dst="a"), UpsertEdge(src="d", dst="a")], time=0.0)
    graph.apply([UpsertEdge(src="a", dst="a", weight=5.0)], time=0.0)
    found = graph.in_neighbours(graph.rows(["a"]))
    weights = dict(zip(graph.ids(found.index), found.weight.tolist(), strict=True))
    assert weights == {"a": 5.0, "c": 1.0, "d": 1.0}
    assert graph.in_weight[graph.row("a")] == 7.0


def test_a_hub_of_100_000_neighbours_comes_and_goes() -> None:
    size = 100_000
    graph = DynamicGraph()
    graph.apply([UpsertEdge(src="hub", dst=f"n{i}") for i in range(size)], time=0.0)
    hub = graph.rows(["hub"])
    assert graph.in_degree(hub).tolist() == [size]
    assert graph.in_weight[hub] == size
    gone = [f"n{i}" for i in range(0, size, 2)]
    graph.apply([RemoveEdge(src=node, dst="hub") for node in gone], time=0.0)
    left = graph.in_neighbours(hub)
    assert sorted(graph.ids(left.index)) == sorted(f"n{i}" for i in range(1, size, 2))
    changes = graph.apply([RemoveNode(id="hub")], time=0.0)
    assert (changes.edge_source.size, graph.num_edges, graph.num_nodes) == (size, 0, size)
    assert not graph.in_weight.any()
