from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olad_core.events import SparseFeatures, UpsertEdge, UpsertNode
from service.replay.archive_graph import GraphDataset, SparseRows


@st.composite
def graphs(draw: st.DrawFn) -> GraphDataset:
    nodes = draw(st.integers(1, 12))
    edges = draw(st.lists(st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)), max_size=30))
    times = st.integers(0, 5).map(float)
    node_time = draw(st.none() | st.lists(times, min_size=nodes, max_size=nodes))
    edge_time = draw(st.none() | st.lists(times, min_size=len(edges), max_size=len(edges)))
    labels = draw(st.lists(st.integers(-1, 2), min_size=nodes, max_size=nodes))
    return GraphDataset(
        labels=np.array(labels, np.int64),
        classes=("a", "b", "c"),
        edges=np.array(edges, np.int64).reshape(-1, 2).T,
        node_time=None if node_time is None else np.array(node_time),
        edge_time=None if edge_time is None else np.array(edge_time),
    )


@given(graphs(), st.integers(0, 3))
def test_every_node_and_edge_comes_once_and_never_before_its_time(graph: GraphDataset, seed: int) -> None:
    arrived: dict[str, float] = {}
    edges = []
    times = []
    for arrival in graph.arrivals(seed):
        for place, event in enumerate(arrival.events):
            assert isinstance(event, UpsertNode | UpsertEdge)
            assert event.ts is not None
            times.append(event.ts)
            if isinstance(event, UpsertNode):
                assert place == 0
                assert arrival.node == str(event.id)
                arrived[str(event.id)] = event.ts
            else:
                assert str(event.src) in arrived
                assert str(event.dst) in arrived
                edges.append((event.src, event.dst))
    assert sorted(arrived) == sorted(str(node) for node in range(len(graph)))
    assert sorted(edges) == sorted((int(src), int(dst)) for src, dst in graph.edges.T)
    assert times == sorted(times)
    assert len(times) == graph.event_count
    if graph.node_time is not None:
        assert arrived == {str(node): time for node, time in enumerate(graph.node_time)}


@given(graphs())
def test_an_edge_waits_for_its_own_time(graph: GraphDataset) -> None:
    if graph.edge_time is None or graph.node_time is None:
        return
    wanted = sorted(
        (int(src), int(dst), max(float(time), graph.node_time[src], graph.node_time[dst]))
        for (src, dst), time in zip(graph.edges.T, graph.edge_time, strict=True)
    )
    events = [event for arrival in graph.arrivals() for event in arrival.events]
    assert sorted((e.src, e.dst, e.ts) for e in events if isinstance(e, UpsertEdge)) == wanted


def test_a_node_brings_its_edges_to_nodes_already_there() -> None:
    graph = GraphDataset(
        labels=np.array([0, -1, 1]),
        classes=("red", "blue"),
        edges=np.array([[0, 1], [2, 2]]),
        node_time=np.array([3.0, 1.0, 2.0]),
    )
    arrivals = list(graph.arrivals())
    assert [arrival.node for arrival in arrivals] == ["1", "2", "0"]
    assert [arrival.truth for arrival in arrivals] == [None, ("2", "blue"), ("0", "red")]
    assert [len(arrival.events) for arrival in arrivals] == [1, 2, 2]
    assert arrivals[2].events == (UpsertNode(id=0, ts=3.0), UpsertEdge(src=0, dst=2, ts=3.0))


def test_where_only_edges_have_times_a_node_arrives_with_its_first_one() -> None:
    graph = GraphDataset(
        labels=np.array([0, 0, 0, 0]),
        classes=("a",),
        edges=np.array([[0, 1, 1], [1, 2, 2]]),
        edge_time=np.array([20.0, 10.0, 40.0]),
    )
    steps = [[e.ts for e in arrival.events if isinstance(e, UpsertEdge)] for arrival in graph.arrivals()]
    assert [arrival.node for arrival in graph.arrivals()] == ["1", "2", "3", "0", None]
    assert steps == [[], [10.0], [], [20.0], [40.0]]


def test_without_any_time_the_order_is_random_but_given_by_the_seed() -> None:
    graph = GraphDataset(labels=np.zeros(50, np.int64), classes=("a",), edges=np.empty((2, 0), np.int64))
    first, again, other = ([arrival.node for arrival in graph.arrivals(seed)] for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first != sorted(first, key=lambda node: int(node or 0))


def test_features_go_along_dense_or_sparse() -> None:
    dense = GraphDataset(
        labels=np.array([0]), classes=("a",), edges=np.empty((2, 0), np.int64),
        features=np.array([[0.5, 2.0]], np.float32),
    )  # fmt: skip
    sparse = GraphDataset(
        labels=np.array([0, 0]), classes=("a",), edges=np.empty((2, 0), np.int64), node_time=np.array([0.0, 1.0]),
        features=SparseRows(np.array([1.5, 2.5], np.float32), np.array([3, 1]), np.array([0, 0, 2]), width=4),
    )  # fmt: skip
    assert [arrival.events[0].x for arrival in dense.arrivals()] == [[0.5, 2.0]]  # type: ignore[union-attr]
    assert [arrival.events[0].x for arrival in sparse.arrivals()] == [  # type: ignore[union-attr]
        SparseFeatures([], []),
        SparseFeatures([3, 1], [1.5, 2.5]),
    ]
    assert (dense.schema().feature_width, sparse.schema(3.0).feature_width) == (2, 4)
    assert sparse.schema(3.0).edge_lifetime == 3.0


@pytest.mark.parametrize("nodes", [0, 3])
def test_a_graph_may_have_no_edges_or_be_empty(nodes: int) -> None:
    empty = np.empty((2, 0), np.int64)
    graph = GraphDataset(np.zeros(nodes, np.int64), ("a",), empty, edge_time=np.empty(0))
    assert len(list(graph.arrivals())) == nodes
