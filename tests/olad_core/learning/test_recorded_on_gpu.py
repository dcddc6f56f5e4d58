"""CUDA graphs learn what the operations that they consist of learn. Only where there is a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from olad_core.learning.recorded import CudaRecorder, RecordedSteps, Run
from tests.device import DEVICE
from tests.olad_core.learning.test_recorded import DROPPING, all_state, change
from tests.olad_core.learning.test_trainer import Lesson, equal

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


class Operations(CudaRecorder):
    """Runs every step as it would be recorded, but operation by operation."""

    def record(self, run: Run) -> Run:
        def again() -> Tensor:
            return self.warm_up(run)

        return again


def lesson_of(recorder: CudaRecorder | None) -> Lesson:
    lesson = Lesson(DROPPING)
    count = len(DROPPING.students)
    others = (1 - np.eye(count)) / (count - 1)
    lesson.teaching = np.concatenate([others, np.full((1, count), 1 / count)]).astype(np.float32)
    lesson.trainer.recorded = RecordedSteps(recorder, DEVICE) if recorder else None
    return lesson


def test_steps_are_recorded_by_default() -> None:
    lesson = lesson_of(None)
    trainer = type(lesson.trainer)(lesson.trainer.group)
    assert trainer.recorded is not None


def test_graphs_learn_in_the_same_bytes_as_their_operations() -> None:
    recorded, other = lesson_of(CudaRecorder(DEVICE)), lesson_of(Operations(DEVICE))
    for step in range(50):
        found, expected = recorded.step(), other.step()
        assert recorded.trainer.not_recorded is None
        for name, term in found.items():
            np.testing.assert_array_equal(term, expected[name])
        for lesson in (recorded, other):
            change(lesson, step)
    assert equal(all_state(recorded.trainer), all_state(other.trainer))


def test_graphs_learn_as_steps_in_parts_do() -> None:
    recorded, plain = lesson_of(CudaRecorder(DEVICE)), lesson_of(None)
    means = [np.mean([lesson.step()["supervised"] for _ in range(60)][-20:]) for lesson in (recorded, plain)]
    assert recorded.trainer.steps == plain.trainer.steps == 60
    assert means[0] == pytest.approx(means[1], rel=0.3)
