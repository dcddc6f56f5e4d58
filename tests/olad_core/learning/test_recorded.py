"""Recorded steps: what they learn, and that they can be recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.operations import Operations
from olad_core import device
from olad_core.events import GraphSchema, LabelNode, UpsertNode
from olad_core.learning.health import PATIENCE
from olad_core.learning.recorded import MOST_RECORDED, RecordedSteps, Recorder, Run, map_tensors, tensors_of
from olad_core.learning.trainer import Trainer
from olad_core.step_size import StepSize
from olad_core.students import ARCHITECTURES
from tests.device import DEVICE
from tests.olad_core.learning.tape import Tape
from tests.olad_core.learning.test_trainer import SMALL, Lesson, equal
from tests.olad_core.runs import CONFIG as ENGINE
from tests.olad_core.runs import stream
from tests.olad_core.test_types import NODE_TYPES, WITH_TABLES, begun, kept_one_by_one, typed

CPU = torch.device("cpu")
GROUP = replace(SMALL, students=("gcn", "gcn", "sage", "gat", "evolvegcn"), local_weight=0.0, label_dropout=0.5)
DROPPING = replace(GROUP, hidden_dropout=0.3, feature_dropout=0.1, measures_teaching=True)
RECORDABLE = sorted(set(ARCHITECTURES) - {"tgcn"})

pytestmark = pytest.mark.usefixtures("operations")


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute as on a GPU: by operations on tensors."""
    if DEVICE.type != "cpu":
        pytest.skip("a recorder for a CPU")
    monkeypatch.setattr(device, "LOOPED", frozenset())


class Unrecorded(Tape):
    """Runs every step as it would be recorded, but operation by operation."""

    def record(self, run: Run) -> Run:
        return run


class Counting(Unrecorded):
    """Follows the operations of each step."""

    operations = Operations()

    def warm_up(self, run: Run) -> Tensor:
        with Operations() as self.operations:
            return run()

    def record(self, run: Run) -> Run:
        return lambda: self.warm_up(run)


class Refusing(Tape):
    """Cannot record."""

    def record(self, run: Run) -> Run:
        raise RuntimeError("operation not permitted when stream is capturing")


def lesson_of(config: object, recorder: Recorder | None) -> Lesson:
    lesson = Lesson(config)  # type: ignore[arg-type]
    count = len(lesson.trainer.config.students)
    others = (1 - np.eye(count)) / (count - 1) if count > 1 else np.zeros((1, 1))
    rows = [others, np.full((1, count), 1 / count)] if lesson.trainer.twins else [others]
    lesson.teaching = np.concatenate(rows).astype(np.float32)
    lesson.trainer.recorded = RecordedSteps(recorder, CPU) if recorder else None
    return lesson


def change(lesson: Lesson, step: int) -> None:
    """What happens between steps: time passes, a student gets new weights, there are new classes, sizes change."""
    group = lesson.trainer.group
    if step in {12, 30}:
        group.advance(lesson.graph, lesson.touched.rows)
    if step == 20:
        group.renew(2, resets=1)
    if step == 36:
        labels = [event for n in range(9) for event in (UpsertNode(id=f"n{n}"), LabelNode(id=f"n{n}", label=f"c{n}"))]
        lesson.apply(labels)


def all_state(trainer: Trainer) -> dict[str, Tensor]:
    tensors, _ = trainer.state()
    return tensors


def test_a_recording_learns_in_the_same_bytes_as_the_operations_it_consists_of() -> None:
    tape = Tape()
    recorded, other = lesson_of(DROPPING, tape), lesson_of(DROPPING, Unrecorded())
    for step in range(50):
        found, expected = recorded.step(), other.step()
        assert found.keys() == expected.keys()
        for name, term in found.items():
            np.testing.assert_array_equal(term, expected[name])
        for lesson in (recorded, other):
            change(lesson, step)
    assert equal(all_state(recorded.trainer), all_state(other.trainer))
    assert recorded.trainer.not_recorded is None
    assert tape.repeated > 10


def test_padding_changes_losses_by_rounding_alone() -> None:
    config = replace(GROUP, label_dropout=0.0)
    recorded, plain = lesson_of(config, Unrecorded()), lesson_of(config, None)
    for step in range(50):
        found, expected = recorded.step(), plain.step()
        for name, term in found.items():
            np.testing.assert_allclose(term, expected[name], rtol=2e-3, atol=2e-4)
            if step < 10:
                np.testing.assert_allclose(term, expected[name], rtol=1e-4, atol=1e-5)
    assert recorded.trainer.steps == plain.trainer.steps == 50


@pytest.mark.parametrize("name", RECORDABLE)
def test_no_step_that_is_recorded_reads_values(name: str) -> None:
    counting = Counting()
    lesson = lesson_of(replace(DROPPING, students=(name, name)), counting)
    lesson.steps(2)
    lesson.trainer.group.advance(lesson.graph, lesson.touched.rows)
    lesson.steps(2)
    assert lesson.trainer.not_recorded is None
    assert len(counting.operations.names) > 100
    assert counting.operations.reads == []
    assert not [name for name in counting.operations.names if "lift_fresh" in name]


def test_graphs_with_types_and_features_of_edges_are_recorded() -> None:
    def run(recorder: Recorder) -> tuple[dict[str, Tensor], Trainer]:
        class Recorded(Trainer):
            def __init__(self, group: object) -> None:
                super().__init__(group)  # type: ignore[arg-type]
                self.recorded = RecordedSteps(recorder, CPU)

        there = begun(ENGINE, GraphSchema(edge_types=WITH_TABLES, node_types=NODE_TYPES))
        there.engine.trainer_type = Recorded
        for batch in kept_one_by_one(typed(stream(5), nodes=True))[:9]:
            there.turn(batch, steps=4)
        assert there.engine.trainer is not None
        return all_state(there.engine.trainer), there.engine.trainer

    tape = Tape()
    found, trainer = run(tape)
    expected, _ = run(Unrecorded())
    assert trainer.not_recorded is None
    assert trainer.steps > 10
    assert tape.repeated
    assert equal(found, expected)


def test_a_restored_trainer_goes_on_in_the_same_bytes() -> None:
    lesson = lesson_of(DROPPING, Tape())
    lesson.steps(11)
    restored = lesson.restored(DROPPING)
    restored.recorded = RecordedSteps(Tape(), CPU)
    expected = [lesson.step() for _ in range(8)]
    lesson.trainer = restored
    for losses in expected:
        for name, term in lesson.step().items():
            np.testing.assert_array_equal(term, losses[name])


def test_a_step_that_cannot_be_recorded_is_taken_all_the_same_and_so_are_those_after_it() -> None:
    lesson = lesson_of(DROPPING, Refusing())
    losses = lesson.steps(40)
    assert lesson.trainer.recorded is None
    assert lesson.trainer.not_recorded == "operation not permitted when stream is capturing"
    assert lesson.trainer.steps == 40
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.parametrize("recorder", [Unrecorded(), None])
def test_a_step_that_is_not_finite_changes_no_weight_and_is_counted(recorder: Tape | None) -> None:
    lesson = lesson_of(DROPPING, recorder)
    lesson.steps(8)
    student = lesson.trainer.group.students[2]
    with torch.no_grad():
        student.head.weight[1] = torch.nan
    before = lesson.learned()
    losses = lesson.step()
    assert not np.isfinite(losses["supervised"][2])
    after = lesson.learned()
    assert all(torch.equal(before[name].nan_to_num(7), after[name].nan_to_num(7)) for name in before)
    assert lesson.trainer.skipped_steps == 1
    lesson.steps(PATIENCE - 1)
    assert lesson.trainer.health.resets == 1
    assert torch.isfinite(student.head.weight).all()
    assert np.isfinite(lesson.step()["supervised"]).all()


def test_what_cannot_be_recorded_is_computed_as_ever() -> None:
    counting = Counting()
    for config in (replace(GROUP, students=("tgcn", "gcn")), replace(GROUP, local_weight=0.1)):
        recorded, plain = lesson_of(config, counting), lesson_of(config, None)
        for found, expected in zip(recorded.steps(4), plain.steps(4), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert counting.operations.names == []


def test_few_shapes_are_kept() -> None:
    lesson = lesson_of(replace(GROUP, students=("sage", "gcn")), Tape())
    trainer = lesson.trainer
    for number in range(3 * MOST_RECORDED):
        size = StepSize(1 / (1 + number % MOST_RECORDED))
        trainer.step(lesson.graph, lesson.replay, lesson.touched, lesson.teaching, size)
    assert trainer.recorded is not None
    assert trainer.recorded.shapes <= MOST_RECORDED
    assert trainer.steps == 3 * MOST_RECORDED


def test_tensors_are_named_and_replaced() -> None:
    value = (torch.ones(2), ("kept", torch.zeros(1)))
    assert list(tensors_of(value)) == [".0", ".1.1"]
    assert map_tensors(value, lambda name, _: torch.tensor(len(name)))[1] == ("kept", torch.tensor(4))
