"""With many classes an embedding keeps no answers: those that are published or asked for are computed then."""

from __future__ import annotations

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
from olad_core.serving.propagation import propagation
from olad_core.serving.served_member import ServedMember
from olad_core.serving.shown import shown_answers
from olad_core.serving.touched import merge
from olad_core.students import ARCHITECTURES, Student, build_student
from tests.device import DEVICE
from tests.olad_core.streams import FEATURES, changes, take

CLASSES, CAPACITY, WIDTH = 100, 128, 8
BEST = 32


def student_of(architecture: str) -> Student:
    student = build_student(architecture, FEATURES, WIDTH, CAPACITY, seed=3)
    student.temperature.fill_(0.5)
    student.advance()
    return student.to(DEVICE)


def changed(graph: DynamicGraph, embedding: Embedding, seed: int) -> None:
    """Random changes, and random rows that are asked for."""
    draw, stream = np.random.default_rng(seed), changes(seed)
    while not embedding.complete:
        embedding.advance(graph)
    for _ in range(8):
        embedding.mark(graph, merge([graph.apply(take(stream, 4), 0.0)], graph))
        rows = np.flatnonzero(graph.alive)
        embedding.compute(graph, rows[draw.random(len(rows)) < 0.5])


def fresh(graph: DynamicGraph, embedding: Embedding) -> npt.NDArray[np.int64]:
    return np.setdiff1d(np.flatnonzero(graph.alive), embedding.marked(graph))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@given(st.integers(0, 10**6))
@settings(max_examples=4, deadline=None)
def test_they_are_those_that_would_have_been_kept(architecture: str, seed: int) -> None:
    """Of a student whose layers are kept up to the answers, all classes of every row that is not marked."""
    student, graph = student_of(architecture), DynamicGraph(feature_width=FEATURES)
    embedding = Embedding.alone(student, CLASSES, DEVICE)
    changed(graph, embedding, seed)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("olad_core.tasks.node_class.are_wide", lambda _classes: False)
        dense = Embedding.alone(student, CLASSES, DEVICE)
        while not dense.complete:
            dense.advance(graph)
        rows = fresh(graph, embedding)
        probabilities, disagreement = dense.answers(rows)
    assert dense.members[0].layers[-1].shape[1] == 1 + CLASSES
    assert embedding.members[0].layers[-1].shape[1] == WIDTH
    found, differing = embedding.answers(rows)
    np.testing.assert_allclose(found, probabilities, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(differing, disagreement, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(embedding.disagreement(rows), disagreement, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("members", [1, 2])
@given(st.integers(0, 10**6), st.integers(1, 3))
@settings(max_examples=4, deadline=None)
def test_what_is_published_are_the_best_of_all(members: int, seed: int, rows_at_once: int) -> None:
    students = [ServedMember(student_of(name), CLASSES, DEVICE) for name in ("sage", "gcn")[:members]]
    combination = Combination(PoolWeights(np.array([0.7, 0.3]), 1, np.array([0.6, 0.3, 0.1])))
    graph = DynamicGraph(feature_width=FEATURES)
    embedding = Embedding(students, DEVICE, combination if members > 1 else None)
    changed(graph, embedding, seed)
    rows = fresh(graph, embedding)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(embedding_module, "CELLS", rows_at_once * members * CLASSES)
        shown = shown_answers(embedding, rows)
    probabilities, disagreement = embedding.answers(rows)
    assert shown.classes is not None
    assert shown.classes.shape == shown.probabilities.shape == (len(rows), BEST)
    np.testing.assert_allclose(shown.disagreement, disagreement, rtol=1e-4, atol=1e-6)
    of_shown = np.take_along_axis(probabilities, shown.classes.astype(np.int64), axis=1)
    np.testing.assert_allclose(shown.probabilities, of_shown, rtol=1e-4, atol=1e-7)
    ranked = -np.sort(-probabilities, axis=1)[:, :BEST]
    np.testing.assert_allclose(shown.probabilities, ranked, rtol=1e-4, atol=1e-7)
    assert (np.diff(shown.probabilities, axis=1) <= 0).all()


def test_few_classes_are_published_as_they_are() -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    embedding = Embedding.alone(student_of("sage"), 64, DEVICE)
    changed(graph, embedding, 1)
    rows = fresh(graph, embedding)
    shown = shown_answers(embedding, rows)
    assert shown.classes is None
    np.testing.assert_array_equal(shown.probabilities, embedding.probabilities(rows))


@pytest.mark.parametrize("part", ["embedding", "head"])
def test_answers_that_are_no_numbers_are_counted(part: str) -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    embedding = Embedding.alone(student_of("sage"), CLASSES, DEVICE)
    changed(graph, embedding, 2)
    embedding.compute(graph, embedding.marked(graph))
    assert embedding.broken(graph) == 0
    alive = np.flatnonzero(graph.alive)
    if part == "embedding":
        embedding.members[0].layers[-1][alive[:2]] = torch.nan
    else:
        with torch.no_grad():
            embedding.student.head.weight[3] = torch.inf
    assert embedding.broken(graph) == (2 if part == "embedding" else len(alive))


def test_a_layer_of_logits_is_kept_for_few_classes_alone() -> None:
    student = build_student("gcn", FEATURES, 128, CAPACITY, seed=0).to(DEVICE)
    assert propagation(student, 64, DEVICE).widths[-2:] == (65, 65)
    assert propagation(student, CLASSES, DEVICE).widths[-2:] == (128, 128)
