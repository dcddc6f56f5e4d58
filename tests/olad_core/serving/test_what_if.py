"""What events would lead to equals what they lead to, and asking changes nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from olad_core.config import STRUCTURE
from olad_core.engine import Engine
from olad_core.event_codec import decode_json
from olad_core.events import Event, GraphSchema, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.graph.part import OUTSIDE, PartTooLarge
from olad_core.graph_types import EdgeType, NodeType
from olad_core.serving.embedding import Embedding
from olad_core.serving.publication import Version
from olad_core.serving.versions import HeldVersion
from olad_core.serving.what_if import Outcome, what_if
from olad_core.students import ARCHITECTURES, InputShape, Memory, Student
from olad_core.students.gcn import GCN
from olad_core.tasks.label_rule import LabelRule
from tests.device import DEVICE
from tests.olad_core.runs import PAIR, Run, learned
from tests.olad_core.serving.test_embedding import embedded, remember, remembering, student_of
from tests.olad_core.serving.test_served_forest import embedded as filled
from tests.olad_core.serving.test_served_forest import forest_on, group_with
from tests.olad_core.streams import FEATURES, two_communities

NODES, MOST = 120, 100_000
ATOL = 1e-5 if DEVICE.type == "cuda" else 1e-6
"""A GPU's orders of summing are others."""
TYPES = {"one": EdgeType(), "way": EdgeType(directed=True, feature_width=2), "short": EdgeType(lifetime=9.0)} | {
    "paid": EdgeType(directed=True, lifetime=9.0, ids=True, feature_width=1),
    "met": EdgeType(ids=True),
}
KINDS = {"big": NodeType(feature_width=FEATURES), "small": NodeType(feature_width=1), "bare": NodeType()}
WITH_IDS = [name for name, each in TYPES.items() if each.ids]
seeds = st.integers(0, 10**6)


def events(draw: np.random.Generator, count: int, *, typed: bool, clock: float) -> list[Event]:
    """Random events of all kinds, some impossible, among few enough nodes that most have two to four edges."""

    def node() -> str:
        return f"n{draw.integers(NODES) if draw.random() < 0.9 else draw.integers(4)}"

    def kind() -> str | None:
        return str(draw.choice([*TYPES, *TYPES, *TYPES, "none such"])) if typed else None

    def upsert() -> Event:
        name = node()
        of = [*KINDS][sum(map(ord, name)) % 3] if typed else None
        width = (KINDS[of].feature_width or 0) if of else FEATURES
        x = draw.normal(size=width).tolist() if width and draw.random() < 0.8 else None
        label = str(draw.choice(["red", "blue"])) if draw.random() < 0.5 else None
        return UpsertNode(name, x, label, type=of)

    def edge() -> Event:
        ts = clock + float(draw.normal(scale=4)) if draw.random() < 0.7 else None
        weight = float(draw.choice([1.0, 0.25, 5.0])) if draw.random() < 0.5 else None
        of = kind()
        width = TYPES[of].feature_width if of in TYPES else None
        x = draw.normal(scale=3, size=width).tolist() if width and draw.random() < 0.7 else None
        return UpsertEdge(node(), node(), weight, ts, of, edge_id() if of in WITH_IDS else None, x)

    def edge_id() -> str:
        return str(draw.integers(60))

    def one() -> Event:
        chance = draw.random()
        if chance < 0.5:
            return edge()
        if chance < 0.65:
            return upsert()
        if chance < 0.8:
            of = kind()
            return RemoveEdge(type=of, id=edge_id()) if of in WITH_IDS else RemoveEdge(node(), node(), of)
        return RemoveNode(node()) if chance < 0.88 else LabelNode(node(), str(draw.choice(["red", "blue", "green"])))

    return [one() for _ in range(count)]


def student_of_types(architecture: str, graph: DynamicGraph) -> Student:
    """A student that reads everything that this graph has."""
    student = InputShape.of_graph(graph).build(architecture, 8, 8, 3).to(DEVICE)
    with torch.no_grad():
        student.encoder.structure.normal_(std=0.3, generator=torch.Generator().manual_seed(5))
    student.encoder.read_structure(STRUCTURE)
    return student


def grown(draw: np.random.Generator, *, directed: bool, typed: bool, lifetime: float | None) -> DynamicGraph:
    """A graph after some batches, in which a few edges have left by age."""
    graph = DynamicGraph()
    schema = {"edge_types": TYPES, "node_types": KINDS} if typed else {"feature_width": FEATURES}
    graph.declare(GraphSchema(directed=directed, edge_lifetime=lifetime, classes=("red", "blue"), **schema))
    for turn in range(6):
        graph.apply(events(draw, 60, typed=typed, clock=4.0 * turn), float(turn))
    return graph


def copied(graph: DynamicGraph) -> DynamicGraph:
    return DynamicGraph.from_state({name: array.copy() for name, array in graph.state().items()})


def bytes_of(graph: DynamicGraph, embedding: Embedding, memory: Memory | None = None) -> Mapping[str, bytes]:
    tensors = {**embedding.state(), **(memory.state() if memory else {})}
    arrays: dict[str, npt.NDArray[np.generic]] = {name: held.cpu().numpy() for name, held in tensors.items()}
    return {name: array.tobytes() for name, array in (arrays | graph.state()).items()}


def asked(draw: np.random.Generator, some: list[Event]) -> list[str]:
    """Nodes that the events name, and others."""
    named = [str(event.src if isinstance(event, UpsertEdge | RemoveEdge) else event.id) for event in some]
    return [f"n{draw.integers(NODES + 5)}" for _ in range(6)] + named[:4]


def asked_of(
    graph: DynamicGraph, embedding: Embedding, some: list[Event], nodes: list[str], most: int = MOST
) -> Outcome:
    """What the events would lead to."""
    version = Version(1, "served", ("red", "blue"))
    return what_if(graph, HeldVersion(version, {}, "1-0", embedding), LabelRule(), some, nodes, most)


def assert_as_applied(
    graph: DynamicGraph, embedding: Embedding, real: Embedding, after: DynamicGraph, some: list[Event], nodes: list[str]
) -> None:
    """What the events would lead to is what they have led to in a copy."""
    found = asked_of(graph, embedding, some, nodes).predicted
    rows = after.rows(list(dict.fromkeys(nodes)))
    assert after.ids(rows[rows >= 0]) == list(found.nodes)
    rows = rows[rows >= 0]
    if len(rows):
        probabilities, disagreement = real.answers(rows)
        np.testing.assert_allclose(found.answers.probabilities, probabilities, rtol=0, atol=ATOL)
        np.testing.assert_allclose(found.answers.disagreement, disagreement, rtol=0, atol=ATOL)
        assert found.labels.tolist() == found.answers.probabilities.argmax(axis=1).tolist()


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@given(seeds, st.booleans(), st.sampled_from([None, 6.0]), st.sampled_from([0, 1, 3, 20, 80]))
@settings(max_examples=5, deadline=None)
def test_predictions_are_those_of_a_copy_that_applies_the_events(
    architecture: str, typed: bool, seed: int, directed: bool, lifetime: float | None, count: int
) -> None:
    draw = np.random.default_rng(seed)
    graph = grown(draw, directed=directed, typed=typed, lifetime=lifetime)
    if typed:
        student = student_of_types(architecture, graph)
    else:
        student = student_of(architecture, reads=STRUCTURE if seed % 2 else ())
    memory = remembering(student)
    remember(memory, student, np.flatnonzero(graph.alive), seed)
    embedding = embedded(graph, student, memory)
    some = events(draw, count, typed=typed, clock=25.0)
    before = bytes_of(graph, embedding, memory)
    nodes = asked(draw, some)
    after = copied(graph)
    changes = after.apply(some, graph.last_arrival)
    found = asked_of(graph, embedding, some, nodes)
    assert list(found.rejected) == changes.rejected
    assert bytes_of(graph, embedding, memory) == before
    remembered = copy.deepcopy(memory)
    remembered.forget(changes.created)
    assert_as_applied(graph, embedding, embedded(after, student, remembered), after, some, nodes)


class ThreeLayers(GCN):
    """A student that reads one edge further."""

    num_layers = 3

    @property
    @override
    def layer_widths(self) -> tuple[int, ...]:
        return (self.width,) * 4


def three_layers() -> ThreeLayers:
    torch.manual_seed(3)
    return ThreeLayers(FEATURES, 8, 8).to(DEVICE)


@given(seeds, st.booleans())
@settings(max_examples=5, deadline=None)
def test_of_a_student_with_three_layers_too(seed: int, directed: bool) -> None:
    draw = np.random.default_rng(seed)
    graph = grown(draw, directed=directed, typed=False, lifetime=6.0)
    some = events(draw, 20, typed=False, clock=25.0)
    after = copied(graph)
    after.apply(some, graph.last_arrival)
    student = three_layers()
    assert_as_applied(graph, embedded(graph, student), embedded(after, student), after, some, asked(draw, some))


@given(seeds, st.booleans())
@settings(max_examples=5, deadline=None)
def test_of_a_group_with_trees_they_are_those_of_a_copy_too(seed: int, directed: bool) -> None:
    draw = np.random.default_rng(seed)
    graph = grown(draw, directed=directed, typed=False, lifetime=None)
    forest = forest_on(graph)
    embedding = filled(group_with(forest), graph)
    some = events(draw, 20, typed=False, clock=25.0)
    after = copied(graph)
    after.apply(some, graph.last_arrival)
    assert_as_applied(graph, embedding, filled(group_with(forest), after), after, some, asked(draw, some))


def test_the_first_event_time_gives_all_edges_the_same_age() -> None:
    graph = DynamicGraph(feature_width=FEATURES, edge_lifetime=6.0)
    graph.apply([UpsertEdge(f"n{node}", f"n{(node * 7 + 1) % 40}") for node in range(40)], 1_000.0)
    embedding = embedded(graph, student_of("gcn"))
    some: list[Event] = [
        UpsertEdge("n1", "n2", ts=5.0),
        UpsertEdge("n3", "n4", ts=100.0),
        UpsertNode("n5", label="red"),
    ]
    after = copied(graph)
    after.apply(some, graph.last_arrival)
    assert after.num_edges == 1
    assert_as_applied(graph, embedding, embedded(after, student_of("gcn")), after, some, ["n1", "n3", "n8", "n15"])


def test_a_node_that_was_removed_stays_so() -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    graph.apply([UpsertEdge("a", "b"), RemoveNode("b")], 0.0)
    found = asked_of(graph, embedded(graph, student_of("gcn")), [UpsertEdge("a", "b"), UpsertEdge("a", "c")], ["a"])
    assert [rejection.reason for rejection in found.rejected] == ["removed-node"]


def test_a_part_that_is_too_large_names_what_it_needs() -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    graph.apply([UpsertEdge("hub", str(node)) for node in range(50)], 0.0)
    embedding = embedded(graph, student_of("gcn"))
    with pytest.raises(PartTooLarge) as refused:
        asked_of(graph, embedding, [], ["1"], 30)
    assert (refused.value.most, refused.value.need >= 50) == (30, True)
    with pytest.raises(PartTooLarge):
        asked_of(graph, embedding, [RemoveNode("hub")], ["none"], 30)
    assert asked_of(graph, embedding, [], ["1"], refused.value.need * 3).predicted.nodes == ("1",)


def test_an_engine_that_was_asked_goes_on_to_the_same_bytes() -> None:
    asked_one, other = (learned(Run(PAIR)) for _ in range(2))
    stream = [two_communities(44)[at : at + 12] for at in range(0, 120, 12)]
    for turn, some in enumerate(stream):
        held = digest(asked_one.engine)
        found = asked_one.engine.what_if(
            [*some, RemoveNode("3"), UpsertEdge("3", "4"), LabelNode("new", "x")], ["1", "4"]
        )
        assert found is not None
        assert [rejection.reason for rejection in found.rejected] == ["removed-node", "unknown-node"]
        assert found.predicted.nodes == ("1", "4")
        assert digest(asked_one.engine) == held
        for run in (asked_one, other):
            run.turn(some, steps=turn % 3)
    assert digest(asked_one.engine) == digest(other.engine)


def digest(engine: Engine) -> tuple[Mapping[str, bytes], str]:
    """Everything that decides what an engine does next."""
    tensors, values = engine.state()
    return {name: held.cpu().numpy().tobytes() for name, held in tensors.items()}, repr(values)


def test_the_node_outside_has_an_id_that_no_event_may_have() -> None:
    with pytest.raises(ValueError, match="256"):
        decode_json(json.dumps([{"op": "upsert_node", "id": OUTSIDE}]).encode())
