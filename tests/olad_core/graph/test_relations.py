"""Edges of several types: the graph does what the plain-Python reference does, and keeps it in its state."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.events import Event, GraphSchema, RemoveEdge, UpsertEdge
from olad_core.graph import DynamicGraph
from olad_core.graph.state_check import NoState, check_graph_state
from olad_core.graph_types import EdgeType
from olad_core.schema import SchemaConflict
from tests.olad_core.graph.reference import RULES, Reference, typed_batches
from tests.olad_core.graph.test_store_against_reference import assert_equal_changes

Batches = list[tuple[list[Event], float]]
TYPES = {name: EdgeType(directed=rule.directed, lifetime=rule.lifetime) for name, rule in RULES.items()}


def typed(**fields: object) -> DynamicGraph:
    graph = DynamicGraph()
    graph.declare(GraphSchema(edge_types=TYPES, **fields))  # type: ignore[arg-type]
    return graph


def arcs_by_row(graph: DynamicGraph, incoming: bool = True) -> list[dict[tuple[int, int], float]]:
    """Arcs with their weights, for each type."""
    rows = np.arange(graph.capacity)
    near = graph.in_neighbours(rows) if incoming else graph.out_neighbours(rows)
    arcs: list[dict[tuple[int, int], float]] = []
    for number in range(len(graph.relations)):
        found: dict[tuple[int, int], float] = {}
        for row in rows.tolist():
            first, end = near.groups[row * len(graph.relations) + number :][:2].tolist()
            for other, weight in zip(near.index[first:end].tolist(), near.weight[first:end].tolist(), strict=True):
                ends = (other, row) if incoming else (row, other)
                assert ends not in found, "an arc stands twice"
                found[ends] = weight
        arcs.append(found)
    return arcs


def arcs_of(graph: DynamicGraph, incoming: bool = True) -> list[dict[tuple[str, ...], float]]:
    """The same by id."""
    return [{tuple(graph.ids(ends)): weight for ends, weight in arcs.items()} for arcs in arcs_by_row(graph, incoming)]


def assert_same(graph: DynamicGraph, model: Reference) -> None:
    expected = [model.arcs(kind) for kind in RULES]
    assert graph.relations == tuple(RULES)
    assert arcs_of(graph) == expected
    assert arcs_of(graph, incoming=False) == expected
    assert (graph.num_nodes, graph.num_edges) == (len(model.nodes), len(model.edges))
    assert graph.clock == model.clock
    rows = np.arange(graph.capacity)
    near = graph.in_neighbours(rows)
    assert np.array_equal(near.indptr, near.groups[:: len(RULES)])
    assert np.array_equal(graph.in_degrees(rows).ravel(), np.diff(near.groups))
    assert np.array_equal(graph.in_degree(rows), np.diff(near.indptr))
    into = np.repeat(rows, np.diff(near.indptr))
    sums = np.bincount(into, near.weight.astype(float), minlength=graph.capacity)
    assert graph.in_weight_of(rows) == pytest.approx(sums, rel=1e-6)
    edges = graph.edge_list()
    listed = zip(graph.ids(edges.source), graph.ids(edges.target), edges.relation.tolist(), strict=True)
    named = {(*ends, list(RULES)[kind]) for *ends, kind in listed}
    kept = {(source, target, kind) for source, target, kind in model.edges}
    turned = {(target, source, kind) for source, target, kind in kept if not RULES[kind].directed}
    assert len(named) == len(kept)
    assert named <= kept | turned


@settings(max_examples=150)
@given(st.sampled_from([None, 6.0]), typed_batches)
def test_every_batch_does_what_its_events_do_one_by_one(ahead_max: float | None, batches: Batches) -> None:
    graph, model = typed(ts_ahead_max=ahead_max), Reference(False, None, None, ahead_max=ahead_max, rules=dict(RULES))
    for batch, time in batches:
        before = arcs_by_row(graph)
        rejected, expired = model.apply(batch, time)
        changes = graph.apply(batch, time)
        assert [(rejection.index, rejection.reason) for rejection in changes.rejected] == rejected
        assert changes.expired == expired
        assert_same(graph, model)
        expected = [
            (*arc, old.get(arc, 0.0), new.get(arc, 0.0))
            for old, new in zip(before, arcs_by_row(graph), strict=True)
            for arc in sorted(old.keys() | new.keys())
            if old.get(arc) != new.get(arc)
        ]
        columns = (changes.edge_source, changes.edge_target, changes.weight_before, changes.weight_after)
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected


@settings(max_examples=50)
@given(typed_batches, st.integers(0, 8))
def test_a_restored_graph_goes_on_bit_for_bit(batches: Batches, cut: int) -> None:
    graph = typed()
    for batch, time in batches[:cut]:
        graph.apply(batch, time)
    stored = safetensors.numpy.load(safetensors.numpy.save({name: np.asarray(a) for name, a in graph.state().items()}))
    check_graph_state(stored)
    restored = DynamicGraph.from_state(stored)
    assert restored.schema == graph.schema
    for batch, time in batches[cut:]:
        assert_equal_changes(graph.apply(batch, time), restored.apply(batch, time))
    state, other = graph.state(), restored.state()
    assert state.keys() == other.keys()
    for name in state:
        assert state[name].tobytes() == other[name].tobytes(), name
    rows = np.arange(graph.capacity)
    sample, again = (each.sample_in_neighbours(rows, 2, seed=5) for each in (graph, restored))
    assert sample.index.tolist() == again.index.tolist()


@pytest.mark.parametrize("name", ["relations", "in_weight", "relation/1/edge_key", "relation/2/in_weight"])
def test_arrays_of_a_type_that_are_no_state_are_refused(name: str) -> None:
    graph = typed()
    graph.apply([UpsertEdge("a", "b", type=kind) for kind in TYPES], 0.0)
    state = graph.state()
    check_graph_state(state)
    state[name] = np.frombuffer(b"[1]", np.uint8) if name == "relations" else state[name][:0]
    with pytest.raises(NoState):
        check_graph_state(state)


def test_a_graph_that_declares_no_types_has_the_state_it_had() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertEdge("a", "b")], 0.0)
    assert not [name for name in graph.state() if "relation" in name or "edge_types" in name]


def test_edges_of_two_types_between_two_nodes_are_two_edges() -> None:
    graph = typed()
    changes = graph.apply([UpsertEdge("a", "b", 2.0, type=kind) for kind in TYPES], 0.0)
    assert (graph.num_edges, len(changes.edge_source)) == (3, 5)  # one of them is directed
    graph.apply([RemoveEdge("b", "a", "knows")], 0.0)
    assert [bool(arcs) for arcs in arcs_of(graph)] == [False, True, True]
    (rejection,) = graph.apply([RemoveEdge("a", "b", "knows")], 0.0).rejected
    assert rejection.detail == "there is no edge of the type 'knows' from 'a' to 'b'"


def test_each_type_has_its_lifetime() -> None:
    graph = typed()
    graph.apply([UpsertEdge("a", "b", ts=0.0, type=kind) for kind in TYPES], 0.0)
    remaining = [(1.0, 3), (3.0, 2), (6.0, 1), (1e3, 1)]
    for time, count in remaining:
        graph.apply([UpsertEdge("x", "y", ts=time, type="knows")], 0.0)
        assert graph.num_edges == count + 1


def test_edges_without_a_type_stay_where_types_are_declared_later() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertEdge("a", "b")], 0.0)
    graph.declare(GraphSchema(edge_types={"sent": EdgeType()}))
    assert graph.relations == ("edge", "sent")
    graph.apply([UpsertEdge("a", "c", type="sent")], 0.0)
    assert graph.num_edges == 2
    graph.declare(GraphSchema(edge_types={"sent": EdgeType(), "edge": EdgeType(lifetime=1.0)}))
    graph.apply([UpsertEdge("a", "b", ts=1.0), UpsertEdge("d", "c", ts=9.0, type="sent")], 0.0)
    assert arcs_of(graph)[0] == {}


def test_types_are_added_and_never_removed() -> None:
    graph = typed()
    graph.declare(GraphSchema(edge_types={"more": EdgeType()}))
    assert graph.relations == (*TYPES, "more")
    assert list(graph.schema.edge_types) == [*TYPES, "more"]


def test_the_direction_of_a_type_is_held_once_it_has_edges() -> None:
    graph = typed()
    graph.declare(GraphSchema(edge_types={"sent": EdgeType(directed=False)}))
    graph.apply([UpsertEdge("a", "b", type="sent")], 0.0)
    before = graph.schema
    with pytest.raises(SchemaConflict, match="1 edges of the type 'sent' that are undirected"):
        graph.declare(GraphSchema(edge_types={"sent": EdgeType(directed=True)}))
    assert graph.schema == before
    assert graph.relations == tuple(TYPES)
