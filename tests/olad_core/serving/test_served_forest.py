"""Trees and a linear model that are served with students: exact wherever the common marks say so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.events import Event, LabelNode, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.judging.pool_weights import PoolWeights
from olad_core.linear.discriminant import Discriminant
from olad_core.linear.member import linear_answers
from olad_core.linear.table import columns_of
from olad_core.serving import embedding as embedding_module
from olad_core.serving.combination import Combination
from olad_core.serving.embedding import Embedding
from olad_core.serving.served_member import ServedMember
from olad_core.serving.touched import merge
from olad_core.students import build_student
from olad_core.trees.forest import Forest
from olad_core.trees.growth import Growth, GrowthConfig
from olad_core.trees.member import forest_answers
from olad_core.trees.table import table_of
from tests.device import DEVICE
from tests.olad_core.streams import FEATURES, changes, take

CLASSES = 2


def forest_on(graph: DynamicGraph) -> Forest:
    """A forest that splits by every column."""
    table = table_of(graph, np.flatnonzero(graph.alive), FEATURES)
    random = np.random.default_rng(0)
    spread = np.nanmax(np.abs(table), axis=0, initial=1.0) * random.normal(size=(400, table.shape[1]))
    label = random.integers(0, CLASSES, len(spread))
    growth = Growth(spread.astype(np.float32), label, CLASSES, FEATURES, GrowthConfig(rounds=20))
    growth.advance(20)
    return growth.forest()


def linear_model() -> Discriminant:
    random, columns = np.random.default_rng(1), columns_of(FEATURES, CLASSES)
    weight = random.normal(size=(CLASSES, columns)).astype(np.float32)
    return Discriminant(weight, np.zeros(CLASSES, np.float32), np.array([0.7], np.float32), np.array([FEATURES]))


def group_with(forest: Forest, student: str = "sage") -> Embedding:
    weights = PoolWeights(np.array([0.5, 0.25, 0.25]), 0, np.array([0.5, 0.4, 0.1]))
    member = ServedMember(build_student(student, FEATURES, 8, 8, seed=1).to(DEVICE), CLASSES, DEVICE)
    return Embedding([member], DEVICE, Combination(weights, forest, linear_model()))


def embedded(embedding: Embedding, graph: DynamicGraph) -> Embedding:
    while not embedding.complete:
        embedding.advance(graph)
    return embedding


def assert_exact(embedding: Embedding, graph: DynamicGraph) -> None:
    assert embedding.forest is not None
    fresh = np.setdiff1d(np.flatnonzero(graph.alive), embedding.marked(graph))
    found = embedding.forest.probabilities(fresh)
    assert found.tobytes() == forest_answers(embedding.forest.forest, graph, fresh, CLASSES).tobytes()
    assert embedding.linear is not None
    found = embedding.linear.probabilities(fresh)
    assert found.tobytes() == linear_answers(embedding.linear.model, graph, fresh, CLASSES).tobytes()


@given(st.integers(0, 10**6), st.booleans(), st.sampled_from(["sage", "gcn", "gat"]))
@settings(max_examples=8, deadline=None)
def test_what_is_not_marked_is_what_the_trees_predict_now(seed: int, directed: bool, student: str) -> None:
    draw = np.random.default_rng(seed)
    stream, graph = changes(seed), DynamicGraph(directed=directed, feature_width=FEATURES)
    graph.apply(take(stream, 80), 0.0)
    embedding = embedded(group_with(forest_on(graph), student), graph)
    assert_exact(embedding, graph)
    for size in (1, 1, 20, 5):
        embedding.mark(graph, merge([graph.apply(take(stream, size), 0.0)], graph))
        assert_exact(embedding, graph)
        embedding.compute(graph, draw.permutation(np.flatnonzero(graph.alive))[:10])
        assert_exact(embedding, graph)


def test_what_students_pass_over_marks_the_rows_of_the_trees() -> None:
    """The label of a class that came after the version, and features of zeros where there were none."""
    stream, graph = changes(1), DynamicGraph(feature_width=FEATURES)
    graph.apply([*take(stream, 80), UpsertNode("plain"), UpsertNode("labelled")], 0.0)
    ties: list[Event] = [event for event in take(stream, 40) if not isinstance(event, LabelNode)]
    graph.apply(ties, 0.0)
    embedding = embedded(group_with(forest_on(graph)), graph)
    late: list[list[Event]] = [[LabelNode("labelled", "later")], [UpsertNode("plain", x=[0.0] * FEATURES)]]
    for events in late:
        embedding.mark(graph, merge([graph.apply(events, 0.0)], graph))
        assert_exact(embedding, graph)


def test_goes_on_from_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_module, "CHUNK", 64)
    stream, graph = changes(5), DynamicGraph(feature_width=FEATURES)
    graph.apply(take(stream, 100), 0.0)
    forest = forest_on(graph)
    one, other = group_with(forest), group_with(forest)
    for _ in range(5):
        one.advance(graph)
    other.restore(one.state())
    for _ in range(25):
        touch = merge([graph.apply(take(stream, 9), 0.0)], graph)
        for embedding in (one, other):
            embedding.mark(graph, touch)
            embedding.advance(graph)
    assert one.complete
    rows = np.setdiff1d(np.flatnonzero(graph.alive), one.marked(graph))
    assert one.probabilities(rows).tobytes() == other.probabilities(rows).tobytes()
    before, after = one.state(), other.state()
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name].numpy(), after[name].numpy()) for name in before)
