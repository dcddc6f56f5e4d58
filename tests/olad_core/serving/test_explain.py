"""What taking something away changes equals what a graph without it predicts, and asking changes nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.config import STRUCTURE
from olad_core.events import Event, GraphSchema, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.graph.part import PartTooLarge
from olad_core.graph_types import EdgeType
from olad_core.serving.embedding import Embedding
from olad_core.serving.explain import Effect, Explanation, explain
from olad_core.serving.publication import Version
from olad_core.serving.versions import HeldVersion
from olad_core.students import ARCHITECTURES, build_student
from olad_core.tasks.label_rule import LabelRule
from tests.device import DEVICE
from tests.olad_core.serving.test_embedding import embedded, remember, remembering, student_of
from tests.olad_core.serving.test_served_forest import embedded as filled
from tests.olad_core.serving.test_served_forest import forest_on, group_with
from tests.olad_core.serving.test_what_if import ATOL, KINDS, asked_of, bytes_of, grown, student_of_types, three_layers
from tests.olad_core.streams import FEATURES

CLASSES = ("red", "blue")
ONE, WAY, PAID = EdgeType(), EdgeType(directed=True), EdgeType(directed=True, ids=True)
MOST = 1_000_000
seeds = st.integers(0, 10**6)


def explained(
    graph: DynamicGraph, embedding: Embedding, node: str, rule: LabelRule | None = None, shown: int = 10**6
) -> Explanation:
    held = HeldVersion(Version(1, "served", CLASSES), {}, "1-0", embedding)
    return explain(graph, held, rule or LabelRule(), graph.row(node), shown, MOST)


def connected(graph: DynamicGraph) -> npt.NDArray[np.int64]:
    """Rows of nodes into which an edge leads."""
    return np.flatnonzero(graph.alive & (graph.in_degree(np.arange(graph.capacity)) > 0))


def without(graph: DynamicGraph, effect: Effect, node: str) -> list[Event] | None:
    """Events that take the same away; None for a label, which no event takes away."""
    if effect.kind == "edge":
        assert effect.relation is not None
        if not graph.relation_rules[effect.relation].ids:
            return [RemoveEdge(effect.node, node, effect.relation if graph.edge_types else None)]
        return [RemoveEdge(type=effect.relation, id=each) for each in ids_between(graph, effect, node)]
    if effect.kind == "label":
        return None
    if not graph.node_types:
        return [UpsertNode(effect.node, [0.0] * FEATURES)]
    kind = [*KINDS][int(graph.features.kind[graph.row(effect.node)])]  # type: ignore[union-attr]
    return [UpsertNode(effect.node, [0.0] * (KINDS[kind].feature_width or 0), type=kind)]


def ids_between(graph: DynamicGraph, effect: Effect, node: str) -> list[str]:
    """Ids of the edges that count as one neighbour."""
    ends = graph.row(effect.node), graph.row(node)
    both = [ends] if graph.relation_rules[str(effect.relation)].directed else [ends, ends[::-1]]
    listed = zip(*(column.tolist() for column in graph.edge_list()[:5]), graph.edge_ids(), strict=True)
    return [
        str(name)
        for source, target, _, _, relation, name in listed
        if graph.relations[relation] == effect.relation and (source, target) in both
    ]


def assert_explained(graph: DynamicGraph, embedding: Embedding, node: str) -> Explanation:
    """Each effect that events can have is the one that they would have."""
    found = explained(graph, embedding, node)
    number = CLASSES.index(found.label)
    assert embedding.probabilities(graph.rows([node]))[0, number] == pytest.approx(found.probability, abs=ATOL)

    def becomes(events: list[Event]) -> float:
        outcome = asked_of(graph, embedding, events, [node], MOST)
        assert outcome.rejected == ()
        return float(outcome.predicted.answers.probabilities[0, number])

    everything: list[Event] = []
    for effect in found.effects:
        events = without(graph, effect, node)
        if events is None:
            continue
        assert becomes(events) - found.probability == pytest.approx(effect.change, abs=ATOL), effect
        everything += events if effect.kind == "edge" or effect.node == node else []
    if graph.label[graph.row(node)] < 0:
        assert becomes(everything) - found.probability == pytest.approx(found.total, abs=ATOL)
    return found


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@given(seeds, st.booleans())
@settings(max_examples=3, deadline=None)
def test_an_effect_is_the_one_that_taking_away_has(architecture: str, typed: bool, seed: int, directed: bool) -> None:
    draw = np.random.default_rng(seed)
    graph = grown(draw, directed=directed, typed=typed, lifetime=None)
    student = student_of(architecture, reads=STRUCTURE if seed % 2 else ())
    if typed:
        student = student_of_types(architecture, graph)
    memory = remembering(student)
    remember(memory, student, np.flatnonzero(graph.alive), seed)
    embedding = embedded(graph, student, memory)
    before = bytes_of(graph, embedding, memory)
    kinds = set[str]()
    for row in draw.choice(connected(graph), 2):
        found = assert_explained(graph, embedding, *graph.ids([int(row)]))
        kinds |= {effect.kind for effect in found.effects}
    assert "edge" in kinds
    assert bytes_of(graph, embedding, memory) == before


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_of_two_edges_between_the_same_nodes_each_is_taken_away_alone(architecture: str) -> None:
    draw = np.random.default_rng(2)
    graph = DynamicGraph()
    graph.declare(
        GraphSchema(
            feature_width=FEATURES, classes=CLASSES, edge_types={"one": ONE, "two": ONE, "way": WAY, "paid": PAID}
        )
    )
    nodes = [UpsertNode(str(node), draw.normal(size=FEATURES).tolist()) for node in range(6)]
    pairs = draw.integers(6, size=(14, 2)).tolist()
    graph.apply(
        [*nodes, *(UpsertEdge(str(a), str(b), type=kind) for a, b in pairs for kind in ("one", "two", "way"))], 0.0
    )
    student = build_student(architecture, FEATURES, 8, 8, 3, len(graph.relations)).to(DEVICE)
    graph.apply([UpsertEdge(str(a), str(b), type="paid", id=n) for n, (a, b) in enumerate([*pairs, *pairs])], 0.0)
    embedding = embedded(graph, student)
    for node in ("0", "1"):
        found = assert_explained(graph, embedding, node)
        assert {effect.relation for effect in found.effects if effect.kind == "edge"} == {"one", "two", "way", "paid"}


@given(seeds, st.booleans())
@settings(max_examples=3, deadline=None)
def test_of_a_student_with_three_layers_it_is_exact_too(seed: int, directed: bool) -> None:
    draw = np.random.default_rng(seed)
    graph = grown(draw, directed=directed, typed=False, lifetime=None)
    embedding = embedded(graph, three_layers())
    for row in draw.choice(connected(graph), 2):
        assert_explained(graph, embedding, *graph.ids([int(row)]))


@given(seeds, st.booleans())
@settings(max_examples=3, deadline=None)
def test_of_a_group_with_trees_it_is_exact_too(seed: int, directed: bool) -> None:
    draw = np.random.default_rng(seed)
    graph = grown(draw, directed=directed, typed=False, lifetime=None)
    embedding = filled(group_with(forest_on(graph), "gcn"), graph)
    for row in draw.choice(connected(graph), 2):
        assert_explained(graph, embedding, *graph.ids([int(row)]))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_the_effect_of_a_label_is_that_of_a_graph_in_which_it_is_unknown(architecture: str) -> None:
    draw = np.random.default_rng(1)
    edges: list[Event] = [UpsertEdge(str(a), str(b)) for a, b in draw.integers(12, size=(24, 2)).tolist()]
    nodes: list[Event] = [UpsertNode(str(node), draw.normal(size=FEATURES).tolist()) for node in range(12)]
    labels = [LabelNode(str(node), CLASSES[node % 2]) for node in range(12)]
    whole = DynamicGraph(feature_width=FEATURES, classes=CLASSES)
    whole.apply([*nodes, *edges, *labels], 0.0)
    student = student_of(architecture)
    embedding = embedded(whole, student)
    found = explained(whole, embedding, "3")
    of_labels = [effect for effect in found.effects if effect.kind == "label"]
    assert "3" in {effect.node for effect in of_labels}
    for effect in of_labels:
        less = DynamicGraph(feature_width=FEATURES, classes=CLASSES)
        less.apply([*nodes, *edges, *(label for label in labels if label.id != effect.node)], 0.0)
        after = embedded(less, student).probabilities(less.rows(["3"]))[0, CLASSES.index(found.label)]
        assert after - found.probability == pytest.approx(effect.change, abs=ATOL)
        assert effect.label == CLASSES[int(effect.node) % 2]


def test_the_largest_come_first_and_the_rest_is_counted() -> None:
    graph = grown(np.random.default_rng(4), directed=False, typed=False, lifetime=None)
    embedding = embedded(graph, student_of("gcn"))
    node = graph.ids(np.argsort(-graph.in_degree(np.arange(graph.capacity)))[:1])[0]
    whole = explained(graph, embedding, node)
    sizes = [abs(effect.change) for effect in whole.effects]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == whole.counted > 5
    some = explained(graph, embedding, node, shown=3)
    assert some.effects == whole.effects[:3]
    assert (some.counted, some.total, some.interaction) == (whole.counted, whole.total, whole.interaction)
    singles = sum(effect.change for effect in whole.effects)
    assert whole.interaction == pytest.approx(whole.total - singles, abs=1e-9)


def test_the_label_is_the_one_that_the_rule_decides() -> None:
    graph = grown(np.random.default_rng(4), directed=False, typed=False, lifetime=None)
    embedding = embedded(graph, student_of("gcn"))
    nodes = graph.ids(np.flatnonzero(graph.alive)[:5])
    for name in CLASSES:
        rule = LabelRule(thresholds={name: 1e-6})
        assert [explained(graph, embedding, node, rule).label for node in nodes] == [name] * 5


def test_a_node_without_anything_has_no_effects() -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    graph.apply([UpsertNode("alone"), UpsertEdge("a", "b"), RemoveNode("b")], 0.0)
    found = explained(graph, embedded(graph, student_of("sage")), "alone")
    assert (found.effects, found.total, found.interaction) == ((), 0.0, 0.0)


def test_too_large_a_neighbourhood_is_refused() -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    graph.apply([UpsertEdge("hub", str(node)) for node in range(60)], 0.0)
    held = HeldVersion(Version(1, "served", CLASSES), {}, "1-0", embedded(graph, student_of("gcn")))
    with pytest.raises(PartTooLarge) as far:
        explain(graph, held, LabelRule(), graph.row("1"), 5, 50)
    assert (far.value.most, far.value.need > 50) == (50, True)
    # The neighbourhood of the hub is small enough, but there are sixty variants of it.
    with pytest.raises(PartTooLarge) as much:
        explain(graph, held, LabelRule(), graph.row("hub"), 5, 250)
    assert (much.value.most, much.value.need > 250) == (250, True)
    assert explain(graph, held, LabelRule(), graph.row("hub"), 5, much.value.need).counted == 60
