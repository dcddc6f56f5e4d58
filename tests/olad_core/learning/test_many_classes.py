"""Steps over candidate classes: what they lose, that they learn, and that heads grow under them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from olad_core.events import Event, LabelNode, UpsertEdge, UpsertNode
from olad_core.learning.many_classes import candidate_terms
from olad_core.learning.step import Knowledge, StepNodes, forward, show
from olad_core.messages.sample import sample
from olad_core.parts import whole
from olad_core.tasks.node_class import MOST_EXACT, candidates
from service.worker.checkpoint import read_checkpoint, write_checkpoint
from service.worker.restoring import restore
from tests.device import DEVICE
from tests.olad_core.learning.test_trainer import EACH_OTHER, PAIR, Lesson
from tests.olad_core.runs import CONFIG, Run

MANY = replace(CONFIG, max_classes=10_000, trainer=replace(CONFIG.trainer, students=("gcn", "sage"), width=16))
CLASSES, FEATURES = 5_000, 8


def nodes_of(classes: list[int], seed: int = 0, first: int = 0) -> list[Event]:
    """Labelled nodes, one for each number, near the centre of their class, and edges between nodes of one class."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(CLASSES, FEATURES))
    events: list[Event] = []
    last: dict[int, str] = {}
    for number, label in enumerate(classes, start=first):
        x = centres[label] + 0.1 * random.normal(size=FEATURES)
        events.append(UpsertNode(f"n{number}", x.tolist()))
        if label in last:
            events.append(UpsertEdge(last[label], f"n{number}"))
        last[label] = f"n{number}"
        events.append(LabelNode(f"n{number}", f"c{label}"))
    return events


def test_terms_over_all_candidates_are_those_over_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every class is a candidate here, and every seed's predicted class is known."""
    monkeypatch.setattr(candidates, "SAMPLED", CLASSES)
    lesson = Lesson(PAIR, [LabelNode(f"o{number}", f"c{number}") for number in range(30)] + nodes_of([1, 4, 8, 4] * 9))
    lesson.teaching = EACH_OTHER
    group, graph, weights = lesson.trainer.group, lesson.graph, torch.from_numpy(EACH_OTHER)
    rows = graph.rows([f"n{number}" for number in range(36)])
    drawn = sample(graph, rows, PAIR.fanouts, group.shape.feature_width, group.random, DEVICE)
    targets = torch.from_numpy(graph.label[rows[:20]].astype(np.int64))
    nodes = StepNodes(targets, drawn, len(graph.classes), unlearned=slice(20, None))
    knowledge, computed = Knowledge(from_predictions=True, from_embeddings=False), whole(forward(group, drawn))
    found = whole(candidate_terms(nodes, group, computed, knowledge, weights))
    shown = whole(show(group, nodes, computed, knowledge))
    expected = whole(lesson.trainer.terms(nodes, shown, weights))
    assert list(found) == list(expected) == ["supervised", "global", "disagreement"]
    for name, term in expected.items():
        torch.testing.assert_close(found[name], term, rtol=1e-4, atol=1e-5)


def test_five_thousand_classes_are_learned() -> None:
    config = replace(PAIR, width=32, labelled=128, hidden_dropout=0.1, min_confidence=0.5)
    # Three nodes of each of 400 classes; one of each of the others, so that all are known.
    lesson = Lesson(config, nodes_of([*range(400)] * 3 + [*range(400, CLASSES)]), max_classes=CLASSES)
    lesson.teaching = EACH_OTHER
    rows = lesson.graph.rows([f"n{number}" for number in range(0, 1_200, 4)])

    def loss() -> float:
        """Over all classes, with the labels of the nodes hidden."""
        of_label = lesson.probabilities(rows)[:, np.arange(len(rows)), lesson.graph.label[rows]]
        return float(-np.log(of_label).mean())

    assert loss() > 0.95 * math.log(CLASSES)
    lesson.steps(110)
    assert loss() < 0.8 * math.log(CLASSES)
    assert lesson.trainer.skipped_steps == 0


class TestGrowingHeads:
    def test_old_classes_keep_their_outputs(self) -> None:
        lesson = Lesson(PAIR, nodes_of([*range(30)] * 2))
        lesson.steps(5)
        rows = lesson.graph.rows([f"n{number}" for number in range(20)])
        group, graph = lesson.trainer.group, lesson.graph
        drawn = sample(graph, rows, PAIR.fanouts, group.shape.feature_width, group.random, DEVICE)
        held = [(id(student.head), len(student.head.bias)) for student in group.students]
        with torch.no_grad():
            embedded = whole(group.embed(whole(group.encode(drawn)), drawn.blocks))
            before = group.classify(embedded, 30).clone()
            for classes in (MOST_EXACT + 1, 2 * MOST_EXACT, CLASSES):
                group.fit_classes(classes)
                torch.testing.assert_close(group.classify(embedded, 30), before, rtol=1e-5, atol=1e-6)
        assert [len(student.head.bias) for student in group.students] == [1 + 5 * MOST_EXACT] * 2
        assert [identity for identity, _ in held] == [id(student.head) for student in group.students]

    def test_a_new_class_within_a_chunk_exchanges_no_parameter(self) -> None:
        lesson = Lesson(PAIR, nodes_of([*range(1_100)]), max_classes=CLASSES)
        lesson.step()
        parameters = [id(parameter) for parameter in lesson.trainer.group.student_optimizer.parameters]
        lesson.apply(nodes_of([*range(1_100, 1_200)], first=2_000))
        lesson.step()
        assert [id(parameter) for parameter in lesson.trainer.group.student_optimizer.parameters] == parameters

    def test_an_engine_with_grown_heads_goes_on_from_its_checkpoint_in_the_same_bytes(self, tmp_path: Path) -> None:
        run = Run(MANY)
        run.turn(nodes_of([0, 1] * 20), steps=3)
        run.turn(nodes_of([*range(MOST_EXACT + 200)], first=100), steps=3)
        run.turn(nodes_of([*range(2 * MOST_EXACT + 200)], first=3_000), steps=2)
        tensors, values = run.engine.state()
        assert values["trainer"]["capacity"] == 3 * MOST_EXACT  # type: ignore[index]
        path = write_checkpoint(tmp_path, tensors, values, keep=1)
        other = Run(MANY, restore(MANY, read_checkpoint(path), DEVICE))
        for each in (run, other):
            each.turn(nodes_of([5, 9, 2_000, 2_001] * 3, first=9_000), steps=3)
        one, two = run.engine.state()[0], other.engine.state()[0]
        assert one.keys() == two.keys()
        assert all(one[name].numpy().tobytes() == two[name].numpy().tobytes() for name in one)
