"""What is not marked equals a full computation, after any sequence of changes and of rows that are asked for."""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from types import ModuleType

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from olad_core.config import STRUCTURE
from olad_core.events import MAX_WEIGHT, Event, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.messages.inputs import StructureSteps
from olad_core.serving import embedding as embedding_module
from olad_core.serving import loops, propagation, tensors
from olad_core.serving.embedding import Embedding
from olad_core.serving.touched import Touch, merge
from olad_core.students import ARCHITECTURES, Inputs, Memory, Student, build_student
from tests.device import DEVICE
from tests.olad_core.blocks import block_of
from tests.olad_core.streams import FEATURES, changes, take

CLASSES = 2
Rows = npt.NDArray[np.int64]

seeds = st.integers(0, 10**6)
# What is expected is computed on the CPU; a GPU's exponentials and orders of summing are others.
RTOL, ATOL = (1e-4, 1e-6) if DEVICE.type == "cuda" else (1e-5, 1e-7)


def student_of(architecture: str, feature_width: int = FEATURES, reads: Collection[str] = ()) -> Student:
    student = build_student(architecture, feature_width, 8, 8, seed=3)
    student.mean_square.fill_(2.0)
    with torch.no_grad():
        student.encoder.structure.normal_(std=0.3, generator=torch.Generator().manual_seed(5))
    student.encoder.read_structure(reads)
    student.advance()
    return student.to(DEVICE)


def remembering(student: Student) -> Memory:
    """An empty memory of a student that remembers."""
    return Memory([student.architecture] if student.remembers else [], student.width, DEVICE)


def remember(memory: Memory, student: Student, rows: Rows, seed: int) -> None:
    """Let rows remember something else."""
    if student.remembers:
        states = torch.randn(len(rows), student.width, generator=torch.Generator().manual_seed(seed)).tanh()
        memory.remember(student.architecture, rows, states.to(DEVICE))


def full(graph: DynamicGraph, student: Student, memory: Memory) -> tuple[Rows, Tensor]:
    """Living rows and what is said of them, from the whole graph as a dense matrix."""
    rows = np.flatnonzero(graph.alive)
    place = np.full(graph.capacity, -1)
    place[rows] = np.arange(len(rows))
    source, target, weight = graph.edge_index()
    adjacency = torch.zeros(len(rows), len(rows))
    adjacency[place[target], place[source]] = torch.from_numpy(weight)
    degree = torch.log1p(adjacency.sum(dim=1, keepdim=True))
    x = torch.from_numpy(graph.features.dense(rows)) if student.feature_width else degree
    recalled = memory.recall(student.architecture, rows)
    student = copy.deepcopy(student).cpu()
    with torch.no_grad():
        label = torch.from_numpy(graph.label[rows].astype(np.int64))
        steps = StructureSteps(torch.from_numpy(graph.structure.steps[rows]))
        given = Inputs(x, label, None if recalled is None else recalled.cpu(), steps)
        _, embedded = student(given, [block_of(adjacency)] * student.num_layers)
        answers = student.answers(student.read(embedded)[:, : 1 + CLASSES])
    return rows, answers


def timed(events: list[Event], draw: np.random.Generator, clock: float) -> list[Event]:
    """The events, those of edges with times around that of the clock."""
    times = clock + draw.normal(scale=3, size=len(events))
    return [
        msgspec.structs.replace(event, ts=ts) if isinstance(event, UpsertEdge) else event
        for event, ts in zip(events, times.tolist(), strict=True)
    ]


def answers(embedding: Embedding, rows: Rows) -> npt.NDArray[np.float32]:
    """Disagreement and class probabilities."""
    return np.column_stack([embedding.disagreement(rows), embedding.probabilities(rows)])


def follow(embedding: Embedding, graph: DynamicGraph, touch: Touch) -> Rows:
    """Mark what a change reaches, and compute all of it; returns the rows."""
    embedding.mark(graph, touch)
    return np.sort(embedding.compute(graph, embedding.marked(graph)).rows)


def assert_exact(embedding: Embedding, graph: DynamicGraph, memory: Memory | None = None) -> None:
    """Every answer that is not marked is that of a full computation."""
    rows, expected = full(graph, embedding.student, memory or remembering(embedding.student))
    fresh = ~np.isin(rows, embedding.marked(graph))
    np.testing.assert_allclose(answers(embedding, rows[fresh]), expected[fresh], rtol=RTOL, atol=ATOL)


def assert_fresh(embedding: Embedding, graph: DynamicGraph, memory: Memory | None = None) -> None:
    """No answer is marked, and every one is that of a full computation."""
    assert embedding.complete
    assert embedding.marked(graph).size == 0
    assert_exact(embedding, graph, memory)


def assert_marks_reach_up(embedding: Embedding, graph: DynamicGraph) -> None:
    """Where a row is marked, it and all its out-neighbours are marked in the layer above."""
    for layer in range(1, embedding.student.num_layers):
        marked = np.flatnonzero(embedding._marks.marked(layer) * graph.alive)
        above = embedding._marks.marked(layer + 1)
        assert above[marked].all()
        assert above[graph.out_neighbours(marked).index].all()


def embedded(graph: DynamicGraph, student: Student, memory: Memory | None = None) -> Embedding:
    recall = partial((memory or remembering(student)).recall, student.architecture)
    embedding = Embedding.alone(student, CLASSES, DEVICE, recall)
    while not embedding.complete:
        embedding.advance(graph)
    return embedding


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@given(seeds)
@settings(max_examples=6)
def test_what_is_asked_for_equals_a_full_computation(architecture: str, directed: bool, seed: int) -> None:
    draw = np.random.default_rng(seed)
    stream, graph = changes(seed), DynamicGraph(directed=directed, feature_width=FEATURES)
    graph.apply(take(stream, 60), 0.0)
    student = student_of(architecture)
    memory = remembering(student)
    remember(memory, student, np.flatnonzero(graph.alive), seed)
    embedding = embedded(graph, student, memory)
    assert_fresh(embedding, graph, memory)
    for size in (1, 3, 20, 80, 1, 5):
        # Two batches between two changes: a row may be freed and taken again in between.
        both = [graph.apply(take(stream, size), 0.0) for _ in range(2)]
        touch = merge(both, graph)
        memory.forget(touch.created)
        advanced = touch.rows[::2]
        remember(memory, student, advanced, seed + size)
        before = np.array(embedding.marks)
        newly = embedding.mark(graph, replace(touch, remembered=advanced))
        assert_marks_reach_up(embedding, graph)
        assert len(np.unique(newly)) == len(newly)
        assert not before[newly[newly < len(before)]].any()
        assert_exact(embedding, graph, memory)
        for _ in range(3):
            alive = np.flatnonzero(graph.alive)
            asked = draw.choice(alive, size=draw.integers(len(alive) + 1), replace=True)
            marked = embedding.marked(graph)
            computed = embedding.compute(graph, asked)
            np.testing.assert_array_equal(np.sort(computed.rows), np.intersect1d(asked, marked))
            np.testing.assert_array_equal(embedding.marked(graph), np.setdiff1d(marked, asked))
            assert_marks_reach_up(embedding, graph)
            assert_exact(embedding, graph, memory)
    embedding.compute(graph, embedding.marked(graph))
    assert_fresh(embedding, graph, memory)


@pytest.mark.parametrize("reads", [(name,) for name in STRUCTURE] + [STRUCTURE], ids="+".join)
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@given(seeds)
@settings(max_examples=2)
def test_students_that_read_structure_are_exact(
    architecture: str, directed: bool, reads: tuple[str, ...], seed: int
) -> None:
    draw = np.random.default_rng(seed)
    stream, graph = changes(seed), DynamicGraph(directed=directed, feature_width=FEATURES, edge_lifetime=10.0)
    graph.apply(timed(take(stream, 60), draw, clock=0.0), 0.0)
    embedding = embedded(graph, student_of(architecture, reads=reads))
    for turn, size in enumerate((1, 3, 20, 80, 1, 5), start=1):
        both = [graph.apply(timed(take(stream, size), draw, clock=4.0 * turn), 0.0) for _ in range(2)]
        embedding.mark(graph, merge(both, graph))
        assert_marks_reach_up(embedding, graph)
        assert_exact(embedding, graph)
        embedding.compute(graph, draw.choice(np.flatnonzero(graph.alive), size=5))
        assert_exact(embedding, graph)
    embedding.compute(graph, embedding.marked(graph))
    assert_fresh(embedding, graph)


def test_only_columns_that_are_read_mark_rows() -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    graph.apply([UpsertEdge(a, b) for a, b in zip("abcdef", "bcdefg", strict=True)], 0.0)
    for weight, reads, marked in ((2.0, (), "abcd"), (3.0, ("in_degree",), "abcd"), (8.0, ("in_weight",), "abcde")):
        embedding = embedded(graph, student_of("sage", reads=reads))
        change = graph.apply([UpsertEdge("b", "c", weight)], 0.0)
        assert sorted(graph.ids(follow(embedding, graph, merge([change], graph)))) == sorted(marked)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@given(seeds)
@settings(max_examples=4)
def test_what_rows_hold_does_not_depend_on_what_was_asked_for(architecture: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    stream, graph = changes(seed), DynamicGraph(feature_width=FEATURES)
    graph.apply(take(stream, 60), 0.0)
    one, other = (embedded(graph, student_of(architecture)) for _ in range(2))
    for _ in range(4):
        touch = merge([graph.apply(take(stream, 15), 0.0)], graph)
        for embedding in (one, other):
            embedding.mark(graph, touch)
        one.compute(graph, draw.permutation(np.flatnonzero(graph.alive))[:10])
    for embedding in (one, other):
        embedding.compute(graph, embedding.marked(graph))
    rows = np.flatnonzero(graph.alive)
    np.testing.assert_allclose(answers(one, rows), answers(other, rows), rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("way", [loops, tensors])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@given(seeds, st.integers(3, 40))
@settings(max_examples=4)
def test_a_candidate_filled_between_changes_ends_equal(
    architecture: str, way: ModuleType, seed: int, chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(embedding_module, "CHUNK", chunk)
        patched.setattr(embedding_module, "PIECE", 1 + chunk // 2)
        patched.setattr(propagation, "loops", way)
        stream, graph = changes(seed), DynamicGraph(feature_width=FEATURES)
        graph.apply(take(stream, 60), 0.0)
        embedding = Embedding.alone(student_of(architecture), CLASSES, DEVICE)
        filled: dict[int, npt.NDArray[np.float32]] = {}
        progress = [embedding.progress(graph)]
        turn = 0
        while not embedding.complete:
            rows = embedding.advance(graph)
            filled.update(zip(rows.tolist(), embedding.probabilities(rows), strict=True))
            progress.append(embedding.progress(graph))
            assert_marks_reach_up(embedding, graph)
            turn += 1
            if turn % 2 == 0:
                embedding.mark(graph, merge([graph.apply(take(stream, turn % 7), 0.0)], graph))
        assert_exact(embedding, graph)
        fresh = np.setdiff1d(np.flatnonzero(graph.alive), embedding.marked(graph))
        np.testing.assert_array_equal(np.stack([filled[row] for row in fresh.tolist()]), embedding.probabilities(fresh))
        assert (progress[0], progress[-1]) == (0.0, 1.0)
        assert embedding.advance(graph).size == 0


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_as_many_classes_as_an_embedding_is_wide(architecture: str) -> None:
    stream, graph = changes(8), DynamicGraph(feature_width=FEATURES)
    graph.apply(take(stream, 60), 0.0)
    student = student_of(architecture)
    embedding = Embedding.alone(student, student.width, DEVICE)
    while not embedding.complete:
        embedding.advance(graph)
    follow(embedding, graph, merge([graph.apply(take(stream, 30), 0.0)], graph))
    afresh = Embedding.alone(student, student.width, DEVICE)
    while not afresh.complete:
        afresh.advance(graph)
    rows = np.flatnonzero(graph.alive)
    np.testing.assert_allclose(embedding.probabilities(rows), afresh.probabilities(rows), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_graph_without_features_is_embedded_by_its_edges(architecture: str) -> None:
    graph = DynamicGraph()
    graph.apply([UpsertEdge("a", "b"), UpsertEdge("b", "c"), UpsertNode("d")], 0.0)
    embedding = embedded(graph, student_of(architecture, feature_width=0))
    change = graph.apply([UpsertEdge("c", "d", 4.0), RemoveEdge("a", "b")], 0.0)
    follow(embedding, graph, merge([change], graph))
    assert_fresh(embedding, graph)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_enormous_weights_stay_finite(architecture: str) -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    heavy = [UpsertEdge(str(source), "hub", MAX_WEIGHT) for source in range(4)]
    graph.apply([*heavy, UpsertEdge("0", "1"), *(UpsertNode(str(n), [n, 1.0, -n]) for n in range(4))], 0.0)
    embedding = embedded(graph, student_of(architecture))
    assert np.isfinite(embedding.probabilities(np.flatnonzero(graph.alive))).all()
    change = graph.apply([RemoveEdge(str(source), "hub") for source in range(4)], 0.0)
    follow(embedding, graph, merge([change], graph))
    assert_fresh(embedding, graph)


def test_a_student_that_is_embedded_cannot_be_trained() -> None:
    embedding = Embedding.alone(student_of("gcn"), CLASSES, DEVICE)
    assert not embedding.student.training
    assert not any(parameter.requires_grad for parameter in embedding.student.parameters())


@pytest.mark.parametrize("architecture", ["evolvegcn", "gat"])
@pytest.mark.parametrize("slices", range(0, 16, 3))
def test_goes_on_from_its_state(monkeypatch: pytest.MonkeyPatch, slices: int, architecture: str) -> None:
    monkeypatch.setattr(embedding_module, "CHUNK", 16)
    stream, graph = changes(5), DynamicGraph(feature_width=FEATURES)
    graph.apply(take(stream, 100), 0.0)
    one = Embedding.alone(student_of(architecture), CLASSES, DEVICE)
    for _ in range(slices):
        one.advance(graph)
    other = Embedding.alone(build_student(architecture, FEATURES, 8, 8, seed=0).to(DEVICE), CLASSES, DEVICE)
    other.restore(one.state())
    for _ in range(16):
        change = graph.apply(take(stream, 9), 0.0)
        touch = merge([change], graph)
        for embedding in (one, other):
            embedding.mark(graph, touch)
            embedding.advance(graph)
    assert_exact(one, graph)
    before, after = one.state(), other.state()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("architecture", ["gcn", "sage", "evolvegcn", "gat"])
def test_errors_do_not_add_up_in_a_hundred_thousand_events(architecture: str) -> None:
    draw = np.random.default_rng(6)
    graph = DynamicGraph(directed=True, feature_width=FEATURES)
    graph.apply([UpsertNode(str(node), x) for node, x in enumerate(draw.normal(size=(300, FEATURES)).tolist())], 0.0)
    embedding = embedded(graph, student_of(architecture))
    for _ in range(200):
        ends = draw.integers(300, size=(2, 500)).astype(str).tolist()
        kinds = draw.random(500)
        weights = draw.choice([0.01, 1.0, 100.0], size=500).tolist()
        events: list[Event] = [
            UpsertNode(source, draw.normal(size=FEATURES).tolist())
            if kind < 0.02
            else RemoveEdge(source, target)
            if kind < 0.5
            else UpsertEdge(source, target, weight)
            for source, target, kind, weight in zip(*ends, kinds, weights, strict=True)
        ]
        follow(embedding, graph, merge([graph.apply(events, 0.0)], graph))
    assert_fresh(embedding, graph)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_neighbours_a_thousand_times_as_great_come_and_go(architecture: str) -> None:
    graph = DynamicGraph(directed=True, feature_width=1)
    graph.apply([UpsertNode(str(node), [node / 10]) for node in range(12)], 0.0)
    graph.apply([UpsertEdge(str(node), "0") for node in range(1, 9)], 0.0)
    embedding = embedded(graph, student_of(architecture, feature_width=1))
    turns: list[list[Event]] = [
        [UpsertNode("9", [1000.0]), UpsertNode("10", [-1000.0])],
        [UpsertEdge("9", "0"), UpsertEdge("10", "0")],
        [UpsertNode("9", [1.0])],
        [UpsertNode("9", [2000.0]), RemoveEdge("10", "0")],
        [RemoveEdge("9", "0")],
        [UpsertNode("3", [-1500.0]), UpsertNode("4", [1500.0]), UpsertEdge("5", "4")],
        [UpsertNode("4", [0.0])],
        [RemoveNode("3")],
    ]
    for events in turns:
        follow(embedding, graph, merge([graph.apply(events, 0.0)], graph))
        assert_fresh(embedding, graph)


def test_a_slice_is_bounded_by_its_edges_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_module, "CHUNK", 20)
    graph = DynamicGraph(directed=True, feature_width=1)
    graph.apply([UpsertNode("hub", [1.0]), *(UpsertEdge(str(leaf), "hub") for leaf in range(100))], 0.0)
    embedding = Embedding.alone(student_of("gcn", feature_width=1), CLASSES, DEVICE)
    filled = [embedding.advance(graph)]
    while not embedding.complete:
        filled.append(embedding.advance(graph))
    last_layer = [rows for rows in filled if len(rows)]
    assert last_layer[0].tolist() == [graph.row("hub")]
    assert max(map(len, last_layer)) <= 20
    assert sum(map(len, last_layer)) == 101
    assert_fresh(embedding, graph)


def test_broken_predictions_are_counted() -> None:
    graph = DynamicGraph(feature_width=1)
    graph.apply([UpsertEdge(a, b) for a, b in zip("abcdef", "bcdefg", strict=True)], 0.0)
    embedding = embedded(graph, student_of("gcn", feature_width=1))
    assert embedding.broken(graph) == 0
    last = embedding.state()["layer/2"]
    last[graph.rows(["b", "e"])] = torch.nan
    assert embedding.broken(graph) == 2
    change = graph.apply([RemoveNode("e")], 0.0)
    last[graph.row("b")] = 0.5
    assert len(change.removed_ids) == 1
    assert embedding.broken(graph) == 0


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_hub_with_a_hundred_thousand_neighbours_is_followed(architecture: str) -> None:
    graph = DynamicGraph(feature_width=1)
    graph.apply([UpsertNode("hub", [1.0]), *(UpsertEdge(str(leaf), "hub") for leaf in range(100_000))], 0.0)
    embedding = embedded(graph, student_of(architecture, feature_width=1))
    change = graph.apply([UpsertNode("hub", [-3.0]), RemoveEdge("7", "hub"), UpsertEdge("7", "8")], 0.0)
    follow(embedding, graph, merge([change], graph))
    afresh = embedded(graph, embedding.student)
    rows = np.flatnonzero(graph.alive)
    np.testing.assert_allclose(embedding.probabilities(rows), afresh.probabilities(rows), rtol=1e-5, atol=1e-7)


def test_only_rows_within_reach_of_a_change_are_marked() -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    graph.apply([UpsertEdge(a, b) for a, b in zip("abcdef", "bcdefg", strict=True)], 0.0)
    embedding = embedded(graph, student_of("gcn"))
    change = graph.apply([UpsertNode("a", [1.0, 2.0, 3.0])], 0.0)
    assert sorted(graph.ids(follow(embedding, graph, merge([change], graph)))) == ["a", "b", "c"]
    again = graph.apply([UpsertNode("a", [1.0, 2.0, 3.0]), UpsertEdge("c", "e"), RemoveEdge("c", "e")], 0.0)
    assert embedding.mark(graph, merge([again], graph)).size == 0


def test_of_several_batches_only_living_rows_are_touched() -> None:
    graph = DynamicGraph(feature_width=1)
    graph.apply([UpsertEdge("a", "b")], 0.0)
    both = [
        graph.apply([UpsertNode("f", [1.0]), UpsertEdge("f", "a")], 0.0),
        graph.apply([RemoveNode("f"), UpsertNode("g")], 0.0),
    ]
    touch = merge(both, graph)
    assert graph.ids(touch.created) == ["g"]
    assert sorted(graph.ids(touch.rows)) == ["a", "g"]
