"""What users of the store rely on, one behaviour a test."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.events import (
    Event,
    GraphSchema,
    LabelNode,
    RemoveEdge,
    RemoveNode,
    SparseFeatures,
    UpsertEdge,
    UpsertNode,
)
from olad_core.graph import DynamicGraph, Rejection
from olad_core.schema import SchemaConflict, TooManyClasses


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
    assert not graph.features.has(row)
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
    assert changes.label_differs.tolist() == [False, True, True]


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
    assert graph.in_weight_of(graph.rows(["a"])) == 1.5


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
    assert graph.features.dense(graph.rows(["a"]))[0].tolist() == [1.0, 2.0]
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
    graph.apply([UpsertNode(id="a", x=[1.0, 2.0]), UpsertEdge(src="a", dst="b")], time=0.0)
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
    assert graph.features.dense(graph.rows(["first"]))[0].tolist() == [1.0, 2.0]
    assert graph.capacity == graph.label.size == graph.arrival.size == 128
    assert (graph.label[1:] == -1).all()


def test_a_restored_graph_shares_nothing_with_the_state_it_is_of() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertNode(id="a", x=[1.0]), UpsertEdge(src="a", dst="b")], time=0.0)
    state = graph.state()
    restored = DynamicGraph.from_state(state)
    for array in state.values():
        array.fill(0)
    assert restored.features.dense(restored.rows(["a"]))[0].tolist() == [1.0]
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
    assert graph.in_weight_of(graph.rows(["a"])) == 7.0


def test_a_hub_of_100_000_neighbours_comes_and_goes() -> None:
    size = 100_000
    graph = DynamicGraph()
    graph.apply([UpsertEdge(src="hub", dst=f"n{i}") for i in range(size)], time=0.0)
    hub = graph.rows(["hub"])
    assert graph.in_degree(hub).tolist() == [size]
    assert graph.in_weight_of(hub) == size
    gone = [f"n{i}" for i in range(0, size, 2)]
    graph.apply([RemoveEdge(src=node, dst="hub") for node in gone], time=0.0)
    left = graph.in_neighbours(hub)
    assert sorted(graph.ids(left.index)) == sorted(f"n{i}" for i in range(1, size, 2))
    changes = graph.apply([RemoveNode(id="hub")], time=0.0)
    assert (changes.edge_source.size, graph.num_edges, graph.num_nodes) == (size, 0, size)
    assert not graph.in_weight_of(np.arange(graph.capacity)).any()


class TestAWidthBeforeFeatures:
    """A declared width is open until features arrive, as the service that takes events in has it."""

    def test_it_can_be_declared_anew(self) -> None:
        graph = DynamicGraph()
        graph.declare(GraphSchema(feature_width=3))
        graph.apply([UpsertNode(id="a", label="x")], time=0.0)
        graph.declare(GraphSchema(feature_width=5))
        changes = graph.apply([UpsertNode(id="a", x=[1.0] * 5)], time=0.0)
        assert (changes.rejected, graph.num_features) == ([], 5)

    def test_it_can_be_taken_back(self) -> None:
        graph = DynamicGraph()
        graph.declare(GraphSchema(feature_width=3))
        graph.declare(GraphSchema())
        changes = graph.apply([UpsertNode(id="a", x=[1.0, 2.0])], time=0.0)
        assert (changes.rejected, graph.num_features) == ([], 2)

    def test_it_stays_once_features_came_though_they_went_again(self) -> None:
        graph = DynamicGraph()
        graph.apply([UpsertNode(id="a", x=[1.0, 2.0]), RemoveNode(id="a")], time=0.0)
        restored = DynamicGraph.from_state({name: array.copy() for name, array in graph.state().items()})
        for one in (graph, restored):
            with pytest.raises(SchemaConflict, match="features of width 2 have arrived"):
                one.declare(GraphSchema(feature_width=3))

    def test_a_batch_that_is_passed_over_holds_it(self) -> None:
        graph = DynamicGraph()
        graph.pass_over([UpsertNode(id="a", x=[1.0, 2.0])])
        assert (graph.num_nodes, graph.num_features) == (0, 2)
        sparse = UpsertNode(id="b", x=SparseFeatures([1], [3.0]))
        assert graph.apply([sparse], time=0.0).rejected == []


class TestClassesAreBounded:
    def test_a_label_beyond_them_is_rejected_and_changes_nothing(self) -> None:
        graph = DynamicGraph(classes=["x"], max_classes=2)
        events: list[Event] = [
            UpsertNode(id="a", label="y"),
            UpsertNode(id="b", x=[1.0], label="z"),
            LabelNode(id="a", label="w"),
            LabelNode(id="a", label="x"),
        ]
        changes = graph.apply(events, time=0.0)
        assert [(one.index, one.reason) for one in changes.rejected] == [
            (1, "too-many-classes"),
            (2, "too-many-classes"),
        ]
        assert "'z' would be a new class, and the graph has the 2 that it may have" in changes.rejected[0].detail
        assert (graph.classes, graph.num_nodes, graph.label[graph.row("a")]) == (["x", "y"], 1, 0)

    def test_a_declaration_beyond_them_changes_nothing(self) -> None:
        graph = DynamicGraph(classes=["x"], max_classes=2)
        with pytest.raises(TooManyClasses, match="'z' would be"):
            graph.declare(GraphSchema(classes=("y", "z"), feature_width=3))
        assert (graph.classes, graph.num_features) == (["x"], None)

    def test_more_that_are_there_already_stay(self) -> None:
        state = DynamicGraph(classes=["x", "y", "z"]).state()
        graph = DynamicGraph.from_state(state, max_classes=2)
        changes = graph.apply([UpsertNode(id="a", label="z"), LabelNode(id="a", label="w")], time=0.0)
        assert (graph.classes, len(changes.rejected)) == (["x", "y", "z"], 1)


class TestRemovedIdsAreBounded:
    def test_the_last_ones_are_remembered(self) -> None:
        graph = DynamicGraph(removed_kept=2)
        graph.apply([event for node in "abc" for event in (UpsertNode(id=node), RemoveNode(id=node))], time=0.0)
        restored = DynamicGraph.from_state({n: a.copy() for n, a in graph.state().items()}, removed_kept=2)
        for one in (graph, restored):
            assert one.removed_ids == 2
            changes = one.apply([UpsertEdge(src="a", dst="b"), UpsertEdge(src="a", dst="d")], time=0.0)
            assert [rejection.reason for rejection in changes.rejected] == ["removed-node"]
            assert one.ids(changes.created) == ["a", "d"]

    def test_one_that_comes_back_and_goes_again_is_the_last(self) -> None:
        graph = DynamicGraph(removed_kept=2)
        for node in "aba":
            graph.apply([UpsertNode(id=node), RemoveNode(id=node)], time=0.0)
        graph.apply([UpsertNode(id="c"), RemoveNode(id="c")], time=0.0)
        reasons = [
            one.reason
            for one in graph.apply([LabelNode(id="a", label="x"), LabelNode(id="b", label="x")], 0.0).rejected
        ]
        assert reasons == ["removed-node", "unknown-node"]


def test_nodes_without_features_take_no_memory_for_them() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertNode(id="wide", x=[1.0] * 65_536)], time=0.0)
    graph.apply([UpsertEdge(src=f"a{n}", dst=f"b{n}") for n in range(10_000)], time=0.0)
    assert graph.num_nodes == 20_001
    assert graph.features.nbytes < 2e6
    state = {name: array.copy() for name, array in graph.state().items()}
    assert sum(array.nbytes for array in state.values()) < 5e6
    restored = DynamicGraph.from_state(state)
    assert restored.features.nbytes < 2e6
    assert restored.features.dense(restored.rows(["wide", "a1"])).sum(axis=1).tolist() == [65_536, 0]


def test_memory_of_features_goes_with_the_nodes_that_had_them() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertNode(id=str(n), x=[float(n)] * 100) for n in range(5_000)], time=0.0)
    before = graph.features.nbytes
    graph.apply([RemoveNode(id=str(n)) for n in range(5_000) if n % 50], time=0.0)
    assert graph.features.nbytes < before / 10
    assert graph.features.dense(graph.rows(["0", "50", "4950"]))[:, 7].tolist() == [0, 50, 4950]
    graph.apply([UpsertNode(id=f"new{n}", x=[-1.0] * 100) for n in range(200)], time=0.0)
    assert graph.features.dense(graph.rows(["50", "new7"]))[:, 7].tolist() == [50, -1]
