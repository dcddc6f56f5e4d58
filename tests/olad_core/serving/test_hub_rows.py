"""Answers of hubs are computed in slices; each is exact for the position that it names, whatever happens meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.events import Event, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.judging.pool_weights import PoolWeights
from olad_core.serving import due, hub_rows
from olad_core.serving import embedding as embedding_module
from olad_core.serving.answers import Origin
from olad_core.serving.combination import Combination
from olad_core.serving.touched import merge
from olad_core.serving.versions import Versions
from olad_core.step_size import StepSize
from olad_core.students import ARCHITECTURES, Memory, Student
from tests.device import DEVICE
from tests.olad_core.serving.test_embedding import full, remember, student_of
from tests.olad_core.streams import FEATURES, changes, take

HUBS = ("hub", "second hub")
RTOL, ATOL = (1e-4, 1e-5) if DEVICE.type == "cuda" else (2e-5, 1e-6)
Rows = npt.NDArray[np.int64]


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with a few neighbours count as hubs, and slices are short."""
    monkeypatch.setattr(hub_rows, "HUB", 6)
    monkeypatch.setattr(hub_rows, "HEAVY", 12)
    monkeypatch.setattr(hub_rows, "PIECE", 4)
    monkeypatch.setattr(hub_rows, "PATIENT_SLICES", 3)
    monkeypatch.setattr(due, "_ROWS_AT_ONCE", 8)
    monkeypatch.setattr(embedding_module, "CHUNK", 40)


def hub_events(graph: DynamicGraph, draw: np.random.Generator) -> list[Event]:
    """What changes at hubs: features, edges in both directions, weights."""
    others = graph.ids(np.flatnonzero(graph.alive))
    events: list[Event] = []
    for hub in HUBS:
        for kind in draw.integers(5, size=draw.integers(3)).tolist():
            other, weight = str(draw.choice(others)), float(draw.choice([0.5, 1.0, 3.0]))
            ends = (hub, other) if draw.random() < 0.5 else (other, hub)
            choices: list[Event] = [UpsertNode(hub, draw.normal(size=FEATURES).tolist()), UpsertEdge(*ends, weight)]
            events.append(choices[min(kind, 1)] if kind < 4 else RemoveEdge(*ends))
        if draw.random() < 0.05:
            events.append(RemoveNode(hub))
        if draw.random() < 0.05:
            events += [UpsertEdge(hub, other) for other in others]
    return events


@dataclass
class Served:
    """A version of some students, what it has published, and the truth at every position."""

    students: dict[str, Student]
    directed: bool
    seed: int
    truth: list[dict[int, npt.NDArray[np.float32]]] = field(default_factory=list)
    held: dict[int, tuple[npt.NDArray[np.float32], Origin]] = field(default_factory=dict)
    passes: int = 0

    def __post_init__(self) -> None:
        self.stream = changes(self.seed)
        self.draw = np.random.default_rng(self.seed)
        self.graph = DynamicGraph(directed=self.directed, feature_width=FEATURES)
        self.graph.apply(take(self.stream, 60), 0.0)
        others = self.graph.ids(np.flatnonzero(self.graph.alive))
        edges = [UpsertEdge(*ends) for other in others for hub in HUBS for ends in ((hub, other), (other, hub))]
        self.graph.apply([*(UpsertNode(hub, [1.0] * FEATURES) for hub in HUBS), *edges], 0.0)
        remembering = [name for name, student in self.students.items() if student.remembers]
        self.memory = Memory(remembering, next(iter(self.students.values())).width, DEVICE)
        self.remember(np.flatnonzero(self.graph.alive), self.seed)
        self.versions = Versions(DEVICE, self.memory, 0.1)
        count = len(self.students)
        self.combination = Combination(PoolWeights.of_equals(count)) if count > 1 else None
        self.versions.start(self.students, "served", ("a", "b"), "0-0", self.combination)
        self.note_truth()

    @property
    def origin(self) -> Origin:
        return Origin(1, len(self.truth) - 1, len(self.truth) - 1)

    def note_truth(self) -> None:
        found = [full(self.graph, student, self.memory) for student in self.students.values()]
        rows, expected = found[0][0], found[0][1].numpy()
        if self.combination:
            members = np.stack([answers.numpy()[:, 1:] for _, answers in found], axis=1)
            parts = self.combination.disagreement(members), self.combination.probabilities(members)
            expected = np.column_stack(parts)
        self.truth.append(dict(zip(rows.tolist(), expected, strict=True)))

    def remember(self, rows: Rows, seed: int) -> None:
        for student in self.students.values():
            remember(self.memory, student, rows, seed)

    def change(self, size: int) -> None:
        """Apply events, mark what they reach, and compute some of it."""
        change = self.graph.apply([*take(self.stream, size), *hub_events(self.graph, self.draw)], 0.0)
        touch = merge([change], self.graph)
        self.memory.forget(touch.created)
        self.remember(touch.rows[::2], self.seed + size)
        self.note_truth()
        touch = replace(touch, remembered=touch.rows[::2])
        self.versions.mark(self.graph, touch)
        self.versions.renew(self.graph, touch, self.origin, int(self.draw.integers(60)))

    def read(self) -> None:
        """Random reads, and slices of what is due."""
        rows = np.flatnonzero(self.graph.alive)
        asked = self.draw.choice(rows, size=self.draw.integers(4))
        hubs = self.graph.rows(HUBS)
        asked = np.concatenate([asked, hubs[(hubs >= 0) & (self.draw.random(2) < 0.7)]])
        self.versions.ask(self.graph, asked, self.origin)
        for _ in range(self.draw.integers(4)):
            self.versions.compute_due(self.graph, self.origin, int(self.draw.integers(1, 30)))
        if self.draw.random() < 0.2:
            self.versions.whole(self.graph, np.unique(asked), self.origin)
        if self.draw.random() < 0.3:
            self.versions.tidy(self.graph, self.origin, 5, hubs=bool(self.draw.random() < 0.5))

    def check(self) -> None:
        """Follow what is published, and compare all that readers see with the truth at the position that it names."""
        served = self.versions.served
        assert served is not None
        updates, _ = self.versions.take_updates(self.graph, ())
        for update in updates:
            if update.version != served.version.number:
                continue
            assert update.origins is not None
            assert update.rows is not None
            answers = np.column_stack([update.disagreement, update.probabilities])
            columns = np.column_stack([update.rows, *update.origins.columns()]).astype(np.int64)
            for (row, *origin), answer in zip(columns.tolist(), answers, strict=True):
                self.held[row] = answer, Origin(*origin)
        marks = served.embedding.marks
        for row in np.flatnonzero(self.graph.alive).tolist():
            if row not in self.held or self.held[row][1].applied_events < 0:
                assert marks[row]
                continue
            answer, origin = self.held[row]
            if not marks[row]:
                origin = self.origin
            else:
                self.passes += origin.applied_events < self.origin.applied_events
            np.testing.assert_allclose(answer, self.truth[origin.applied_events][row], rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("students", [*sorted(ARCHITECTURES), "gcn tgcn gat"])
@given(st.integers(0, 10**6))
@settings(max_examples=4)
def test_every_answer_is_exact_for_the_position_that_it_names(students: str, directed: bool, seed: int) -> None:
    served = Served({name: student_of(name) for name in students.split()}, directed, seed)
    while served.versions.candidate:
        served.versions.advance(served.graph, served.origin, StepSize(0.5))
        if served.draw.random() < 0.3 and len(served.truth) < 40:
            served.change(2)
    served.check()
    for size in (1, 3, 0, 20, 0, 0, 1, 5, 0, 2, 0, 0):
        if served.draw.random() < 0.15:
            served.graph.apply([], 0.0)
        served.change(size)
        served.read()
        served.check()
    while served.versions.tidy(served.graph, served.origin, 30):
        served.check()
    assert served.versions.marked(served.graph) == 0
    served.check()
