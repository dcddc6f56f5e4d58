"""The embedding of several students: each is exact wherever their common marks say so, and so is their combination."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.graph import DynamicGraph
from olad_core.judging.pool_weights import PoolWeights
from olad_core.serving import embedding as embedding_module
from olad_core.serving.combination import Combination
from olad_core.serving.embedding import Embedding
from olad_core.serving.served_member import ServedMember
from olad_core.serving.touched import merge
from olad_core.students import build_student
from tests.device import DEVICE
from tests.olad_core.streams import FEATURES, changes, take

CLASSES = 2
NAMES = ("sage", "gcn", "gat", "evolvegcn")
Rows = npt.NDArray[np.int64]

seeds = st.integers(0, 10**6)


def combination() -> Combination:
    return Combination(PoolWeights(np.array([0.7, -0.2, 0.4, 0.3]), 1, np.array([0.6, 0.3, 0.1])))


def group(seed: int = 3) -> Embedding:
    students = [build_student(name, FEATURES, 8, 8, seed=seed + place) for place, name in enumerate(NAMES)]
    for student in students:
        student.advance()
    members = [ServedMember(student.to(DEVICE), CLASSES, DEVICE) for student in students]
    return Embedding(members, DEVICE, combination())


def embedded(embedding: Embedding, graph: DynamicGraph) -> Embedding:
    while not embedding.complete:
        embedding.advance(graph)
    return embedding


def expected(embedding: Embedding, graph: DynamicGraph, rows: Rows) -> npt.NDArray[np.float32]:
    """What the members predict each for itself, combined."""
    apart = [embedded(Embedding.alone(student, CLASSES, DEVICE), graph) for student in embedding.students]
    assert embedding.combination is not None
    return embedding.combination.probabilities(np.stack([one.probabilities(rows) for one in apart], axis=1))


def assert_exact(embedding: Embedding, graph: DynamicGraph) -> None:
    """Every answer that is not marked is that of the members each for itself."""
    fresh = np.setdiff1d(np.flatnonzero(graph.alive), embedding.marked(graph))
    found = embedding.probabilities(fresh)
    np.testing.assert_allclose(found, expected(embedding, graph, fresh), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def slices_between_changes(graph: DynamicGraph, seed: int, chunk: int) -> Iterator[Embedding]:
    """An embedding after each slice, while the graph changes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(embedding_module, "CHUNK", chunk)
        stream, embedding = changes(seed), group()
        while not embedding.complete:
            embedding.advance(graph)
            yield embedding
            embedding.mark(graph, merge([graph.apply(take(stream, 3), 0.0)], graph))


@given(seeds)
@settings(max_examples=6, deadline=None)
def test_what_is_not_marked_is_the_combination_of_the_members(seed: int) -> None:
    draw = np.random.default_rng(seed)
    stream, graph = changes(seed), DynamicGraph(feature_width=FEATURES)
    graph.apply(take(stream, 60), 0.0)
    embedding = embedded(group(), graph)
    assert_exact(embedding, graph)
    for size in (1, 20, 5):
        embedding.mark(graph, merge([graph.apply(take(stream, size), 0.0)], graph))
        assert_exact(embedding, graph)
        embedding.compute(graph, draw.permutation(np.flatnonzero(graph.alive))[:10])
        assert_exact(embedding, graph)
    embedding.compute(graph, embedding.marked(graph))
    assert embedding.marked(graph).size == 0
    assert_exact(embedding, graph)


@given(seeds, st.integers(16, 120))
@settings(max_examples=4, deadline=None)
def test_a_version_that_is_embedded_between_changes_is_exact_wherever_it_is_not_marked(seed: int, chunk: int) -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    graph.apply(take(changes(seed + 1), 60), 0.0)
    embedding = [*slices_between_changes(graph, seed, chunk)][-1]
    assert embedding.complete
    assert_exact(embedding, graph)


@pytest.mark.parametrize("slices", [0, 3, 7, 20])
def test_goes_on_from_its_state(monkeypatch: pytest.MonkeyPatch, slices: int) -> None:
    monkeypatch.setattr(embedding_module, "CHUNK", 64)
    stream, graph = changes(5), DynamicGraph(feature_width=FEATURES)
    graph.apply(take(stream, 100), 0.0)
    one, other = group(), group(seed=100)
    for _ in range(slices):
        one.advance(graph)
    other.restore(one.state())
    for _ in range(25):
        touch = merge([graph.apply(take(stream, 9), 0.0)], graph)
        for embedding in (one, other):
            embedding.mark(graph, touch)
            embedding.advance(graph)
    assert one.complete
    before, after = one.state(), other.state()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_work_counts_every_member() -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    graph.apply(take(changes(4), 60), 0.0)
    several = embedded(group(), graph)
    alone = embedded(Embedding.alone(several.students[1], CLASSES, DEVICE), graph)
    touch = merge([graph.apply(take(changes(9), 20), 0.0)], graph)
    work = []
    for embedding in (several, alone):
        embedding.mark(graph, touch)
        work.append(embedding.compute(graph, embedding.marked(graph)).work)
    assert work[0] == len(NAMES) * work[1]


def test_a_member_that_breaks_is_left_out() -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    graph.apply(take(changes(4), 60), 0.0)
    rows = np.flatnonzero(graph.alive)
    embedding = embedded(group(), graph)
    assert embedding.broken(graph) == 0
    embedding.members[2].layers[-1][:] = torch.nan
    assert embedding.broken(graph) == 0
    assert np.isfinite(embedding.probabilities(rows)).all()
    assert np.isfinite(embedding.disagreement(rows)).all()
    for member in embedding.members:
        member.layers[-1][:] = torch.nan
    assert embedding.broken(graph) == len(rows)


class TestCombination:
    def test_its_probabilities_add_up_to_one(self) -> None:
        members = np.random.default_rng(0).dirichlet(np.ones(3), size=(50, 4)).astype(np.float32)
        np.testing.assert_allclose(combination().probabilities(members).sum(axis=1), np.ones(50), rtol=1e-5)

    def test_disagreement_is_none_of_equals_and_whole_of_opposites(self) -> None:
        equal = np.tile(np.array([0.7, 0.3], np.float32), (1, 4, 1))
        apart = np.tile(np.array([[1, 0], [0, 1]], np.float32), (1, 2, 1))
        found = combination().disagreement(np.concatenate([equal, apart]))
        np.testing.assert_allclose(found, [0, 1], atol=1e-3)
