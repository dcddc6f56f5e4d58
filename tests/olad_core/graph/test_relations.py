"""Edges of several types: the graph does what the plain-Python reference does, and keeps it in its state."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.events import Event, GraphSchema, RemoveEdge, RemoveNode, UpsertEdge
from olad_core.graph import Changes, DynamicGraph
from olad_core.graph.state_check import NoState, check_graph_state
from olad_core.graph_types import EdgeType
from olad_core.schema import SchemaConflict
from tests.olad_core.graph.reference import RULES, Edge, Reference, typed_batches
from tests.olad_core.graph.test_store_against_reference import assert_equal_changes

Batches = list[tuple[list[Event], float]]
TYPES = {
    name: EdgeType(directed=rule.directed, lifetime=rule.lifetime, ids=rule.ids, feature_width=rule.width or None)
    for name, rule in RULES.items()
}
WITH_IDS = [name for name, rule in RULES.items() if rule.ids]


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
    for incoming in (True, False):
        for of_type, arcs in zip(arcs_of(graph, incoming), expected, strict=True):
            assert of_type == pytest.approx(arcs, rel=1e-6)
    assert (graph.num_nodes, graph.num_edges) == (len(model.nodes), len(model.edges))
    assert graph.clock == model.clock
    rows = np.arange(graph.capacity)
    near = graph.in_neighbours(rows)
    assert np.array_equal(near.indptr, near.groups[:: len(RULES)])
    assert np.array_equal(graph.in_degrees(rows).ravel(), np.diff(near.groups))
    assert np.array_equal(graph.in_degree(rows), np.diff(near.indptr))
    assert near.x is not None
    for number, (kind, rule) in enumerate(RULES.items()):
        means = {}
        for row in rows.tolist():
            first, end = near.groups[row * len(RULES) + number :][:2].tolist()
            for place in range(first, end):
                means[tuple(graph.ids([near.index[place], row]))] = near.x[place].tolist()
        for arc, mean in model.mean_features(kind).items():
            assert means[arc] == pytest.approx(mean + [0.0] * (near.x.shape[1] - rule.width), abs=1e-5)
    into = np.repeat(rows, np.diff(near.indptr))
    sums = np.bincount(into, near.weight.astype(float), minlength=graph.capacity)
    assert graph.in_weight_of(rows) == pytest.approx(sums, rel=1e-6)
    edges = graph.edge_list()
    both = zip(graph.ids(edges.source), graph.ids(edges.target), strict=True)
    kinds = [list(RULES)[kind] for kind in edges.relation.tolist()]
    listed = {}
    features = graph.edge_features(edges).tolist()
    for kind, name, (source, target), weight, time, x in zip(
        kinds, graph.edge_ids(), both, edges.weight.tolist(), edges.time.tolist(), features, strict=True
    ):
        # An undirected edge without an id has its ends in the order of their rows.
        turned = name is None and (kind, source, target) not in model.edges
        ends = (target, source) if turned else (source, target)
        listed[(kind, *(ends if name is None else [name]))] = Edge(*ends, weight, time, x[: RULES[kind].width])
    assert listed == model.edges
    for kind in WITH_IDS:
        names = [*"1234"]
        found = graph.find_edges(kind, names)
        for name, source, target in zip(names, found.source.tolist(), found.target.tolist(), strict=True):
            edge = model.edges.get((kind, name))
            assert (source, target) == ((-1, -1) if edge is None else tuple(graph.rows([edge.source, edge.target])))


def mean_features(graph: DynamicGraph) -> dict[tuple[int, int, int], list[float]]:
    """Mean features of each arc, by its type and ends."""
    rows = np.arange(graph.capacity)
    near = graph.in_neighbours(rows)
    into, types = np.repeat(rows, np.diff(near.indptr)), len(RULES)
    kinds = np.repeat(np.arange(near.groups.size - 1) % types, np.diff(near.groups))
    assert near.x is not None
    return dict(zip(zip(kinds.tolist(), near.index.tolist(), into.tolist(), strict=True), near.x.tolist(), strict=True))


def assert_features_are_noted(
    graph: DynamicGraph, changes: Changes, known: dict[tuple[int, int, int], list[float]]
) -> None:
    """Every row into which an edge has other features is the target of a changed arc."""
    other = {ends[2] for ends, x in mean_features(graph).items() if known.get(ends) != x}
    assert other <= set(changes.edge_target.tolist())


@settings(max_examples=150)
@given(st.sampled_from([None, 6.0]), typed_batches)
def test_every_batch_does_what_its_events_do_one_by_one(ahead_max: float | None, batches: Batches) -> None:
    graph, model = typed(ts_ahead_max=ahead_max), Reference(False, None, None, ahead_max=ahead_max, rules=dict(RULES))
    for batch, time in batches:
        before, known = arcs_by_row(graph), mean_features(graph)
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
        found = [*zip(*(column.tolist() for column in columns), strict=True)]
        assert [arc for arc in found if arc[2] != arc[3]] == expected
        assert_features_are_noted(graph, changes, known)


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


def one_of_each(weight: float | None = None, ts: float | None = None) -> list[Event]:
    """An edge of each type from a to b."""
    return [UpsertEdge("a", "b", weight, ts, kind, kind if kind in WITH_IDS else None) for kind in TYPES]


@pytest.mark.parametrize("name", ["source", "target", "weight", "time", "following", "head", "total"])
@pytest.mark.parametrize("value", [-2, 0, 1, 2, 3, 10, -1e30])
def test_lists_of_parallel_edges_are_checked(name: str, value: float) -> None:
    """The compiled loops would follow them without end, or beyond the arrays."""
    graph = DynamicGraph()
    graph.declare(GraphSchema(edge_types={"paid": EdgeType(ids=True, directed=True)}))
    graph.apply([UpsertEdge("a", "b", type="paid", id=str(at)) for at in range(3)], 0.0)
    graph.apply([UpsertEdge("b", "c", type="paid", id="4")], 0.0)
    state = dict(graph.state())
    array = state[f"parallel_{name}"].copy()
    array[-1] = value if array.dtype.kind == "f" else int(max(value, -5))
    if array.tobytes() == state[f"parallel_{name}"].tobytes():
        return
    state[f"parallel_{name}"] = array
    if (name in {"weight", "total"} and value > 0) or name == "time":
        check_graph_state(state)
    else:
        with pytest.raises(NoState, match="parallel_"):
            check_graph_state(state)


@pytest.mark.parametrize(
    "name",
    [
        "relations",
        "in_weight",
        "relation/1/edge_key",
        "relation/2/in_weight",
        "relation/3/parallel_ids",
        "relation/3/parallel_free",
        "relation/4/parallel_head",
        "relation/5/parallel_x",
    ],
)
def test_arrays_of_a_type_that_are_no_state_are_refused(name: str) -> None:
    graph = typed()
    graph.apply(one_of_each(), 0.0)
    graph.apply([UpsertEdge("a", "b", type="paid", id="gone"), RemoveEdge(type="paid", id="gone")], 0.0)
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
    changes = graph.apply(one_of_each(2.0), 0.0)
    assert (graph.num_edges, len(changes.edge_source)) == (6, 10)  # two of them are directed
    graph.apply([RemoveEdge("b", "a", "knows")], 0.0)
    assert [bool(arcs) for arcs in arcs_of(graph)] == [False, True, True, True, True, True]
    (rejection,) = graph.apply([RemoveEdge("a", "b", "knows")], 0.0).rejected
    assert rejection.detail == "there is no edge of the type 'knows' from 'a' to 'b'"


def test_each_type_has_its_lifetime() -> None:
    graph = typed()
    graph.apply(one_of_each(ts=0.0), 0.0)
    remaining = [(1.0, 6), (3.0, 5), (6.0, 2), (1e3, 2)]
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


class TestEdgesWithIds:
    """Two payments from A to B are two edges."""

    @staticmethod
    def paying() -> DynamicGraph:
        graph = DynamicGraph()
        graph.declare(GraphSchema(edge_types={"paid": EdgeType(directed=True, lifetime=10.0, ids=True)}))
        return graph

    def test_every_id_is_an_edge_and_neighbours_see_their_sum(self) -> None:
        graph = self.paying()
        graph.apply([UpsertEdge("a", "b", weight, 1.0, "paid", id=str(weight)) for weight in (1.0, 2.0)], 0.0)
        assert graph.num_edges == 2
        assert arcs_of(graph) == [{("a", "b"): 3.0}]
        graph.apply([RemoveEdge(type="paid", id="1.0")], 0.0)
        assert arcs_of(graph) == [{("a", "b"): 2.0}]

    def test_an_upsert_of_an_id_updates_that_edge_and_moves_it_to_other_ends(self) -> None:
        graph = self.paying()
        graph.apply([UpsertEdge("a", "b", 2.0, 1.0, "paid", "p"), UpsertEdge("a", "b", 4.0, 1.0, "paid", "q")], 0.0)
        graph.apply([UpsertEdge("a", "c", type="paid", id="p")], 0.0)
        assert graph.num_edges == 2
        assert arcs_of(graph) == [{("a", "b"): 4.0, ("a", "c"): 2.0}]

    def test_each_leaves_at_its_own_time(self) -> None:
        graph = self.paying()
        graph.apply([UpsertEdge("a", "b", ts=ts, type="paid", id=str(ts)) for ts in (0.0, 5.0)], 0.0)
        changes = graph.apply([UpsertEdge("x", "y", ts=11.0, type="paid", id="later")], 0.0)
        assert (changes.expired, graph.edge_ids()) == (1, ["5.0", "later"])

    def test_a_node_leaves_with_all_of_them_and_their_ids_are_free(self) -> None:
        graph = self.paying()
        graph.apply([UpsertEdge("a", "b", type="paid", id=str(at)) for at in range(3_000)], 0.0)
        graph.apply([RemoveNode("b")], 0.0)
        assert (graph.num_edges, arcs_of(graph)) == (0, [{}])
        graph.apply([UpsertEdge("a", "c", type="paid", id=str(at)) for at in range(3_000)], 0.0)
        assert len(graph.state()["parallel_source"]) == 3_000

    @pytest.mark.parametrize("ids", [True, False])
    def test_another_way_of_naming_is_rejected(self, ids: bool) -> None:
        graph = DynamicGraph()
        graph.declare(GraphSchema(edge_types={"paid": EdgeType(ids=ids)}))
        events: list[Event] = [
            UpsertEdge("a", "b", type="paid", id=None if ids else "p"),
            RemoveEdge("a", "b", "paid", None if ids else "p"),
        ]
        assert [each.reason for each in graph.apply(events, 0.0).rejected] == ["edge-id", "edge-id"]
        assert graph.num_nodes == 0

    def test_whether_a_type_has_ids_stays(self) -> None:
        graph = self.paying()
        with pytest.raises(SchemaConflict, match=r"edge_types\.paid\.ids is true, which stays"):
            graph.declare(GraphSchema(edge_types={"paid": EdgeType(directed=True)}))
        plain = DynamicGraph()
        plain.apply([UpsertEdge("a", "b")], 0.0)
        with pytest.raises(SchemaConflict, match=r"edge_types\.edge\.ids: the graph has 1 edges without ids"):
            plain.declare(GraphSchema(edge_types={"edge": EdgeType(ids=True)}))
        plain.apply([RemoveEdge("a", "b")], 0.0)
        plain.declare(GraphSchema(edge_types={"edge": EdgeType(ids=True)}))
        plain.apply([UpsertEdge("a", "b", id="p"), UpsertEdge("a", "b", id="q")], 0.0)
        assert plain.num_edges == 2

    def test_long_lists_of_weights_of_all_sizes_add_up(self) -> None:
        graph, random = self.paying(), np.random.default_rng(0)
        weights = 10.0 ** random.uniform(-6, 9, 500)
        graph.apply([UpsertEdge("a", "b", w, type="paid", id=str(at)) for at, w in enumerate(weights.tolist())], 0.0)
        order = random.permutation(500)
        graph.apply([RemoveEdge(type="paid", id=str(at)) for at in order[:-1].tolist()], 0.0)
        assert arcs_of(graph) == [{("a", "b"): np.float32(weights[order[-1]])}]
