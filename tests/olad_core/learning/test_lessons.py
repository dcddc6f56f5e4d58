"""Members beside the students teach them: who is taught, of which nodes, and what it costs a student to differ."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from olad_core.config import LINEAR, TREES, EngineConfig, TrainerConfig
from olad_core.engine import Engine
from olad_core.events import LabelNode, RemoveNode, UpsertNode
from olad_core.judging.arrivals import Predictions
from olad_core.judging.assessment import Assessment
from olad_core.judging.member_teacher import MemberTeacher
from olad_core.learning.lessons import Lesson, MembersTeaching, lesson_losses
from olad_core.learning.teaching import members_teaching
from tests.device import DEVICE
from tests.olad_core.judging.predictions import saying
from tests.olad_core.learning.test_trainer import EACH_OTHER, PAIR
from tests.olad_core.learning.test_trainer import Lesson as Taught
from tests.olad_core.runs import BEST_OF_PAIR, Run, learned
from tests.olad_core.streams import changes, take
from tests.olad_core.test_engine import assert_same_state

STUDENTS = ("gcn", "sage")
TEACHING = replace(BEST_OF_PAIR, members_teach=True, arrivals_scored=100, arrivals_remembered=200)


def assessment(*, measured: bool = False) -> Assessment:
    trainer = TrainerConfig(students=STUDENTS, measures_teaching=measured)
    return Assessment(EngineConfig(trainer=trainer, members_teach=True))


def show(judged: Assessment, trees: int, linear: int) -> None:
    """40 labels of class 0, of which the students know none and one."""
    for name, said in ((TREES, trees), (LINEAR, linear)):
        judged.teachers[name].compare(saying([[1, 0]] * 40), saying([[said]] * 40)[:, 0], np.zeros(40, np.int64))


class TestWhoIsTaught:
    def test_nobody_before_members_are_scored(self) -> None:
        assert members_teaching(assessment(), STUDENTS, 3) is None

    def test_nobody_where_members_do_not_teach(self) -> None:
        assert members_teaching(Assessment(EngineConfig()), STUDENTS, 3) is None

    def test_whoever_is_not_better_than_the_member(self) -> None:
        judged = assessment()
        show(judged, trees=0, linear=1)
        found = members_teaching(judged, STUDENTS, 3)
        assert found is not None
        np.testing.assert_allclose(found.strength, [[1, 1], [0, 0]], atol=1e-6)

    def test_members_that_are_equally_good_share_it(self) -> None:
        judged = assessment()
        show(judged, trees=0, linear=0)
        found = members_teaching(judged, STUDENTS, 3)
        assert found is not None
        np.testing.assert_allclose(found.strength, [[0.5, 0.5], [0.5, 0.5]], atol=1e-6)

    def test_nobody_who_still_learns(self) -> None:
        judged = assessment()
        show(judged, trees=0, linear=1)
        overfits, learns = 0.1, 2.0
        judged.add_losses({"supervised": np.array([overfits, learns], np.float32)})
        rows = np.arange(40)
        said = Predictions(saying([[1, 1]] * 40), saying([[1]] * 40)[:, 0])
        judged.remember(rows, rows, said)
        judged.score(rows, rows, np.zeros(40, np.int64))
        found = members_teaching(judged, STUDENTS, 3)
        assert found is not None
        np.testing.assert_allclose(found.strength[0], [1, 20 / 60], atol=0.03)

    def test_a_taught_twin_is_taught_whatever_twins_show(self, monkeypatch: pytest.MonkeyPatch) -> None:
        judged = assessment(measured=True)
        show(judged, trees=0, linear=1)
        assert judged.worth is not None
        monkeypatch.setattr(type(judged.worth), "lead", lambda _: -2.0)
        found = members_teaching(judged, ("sage", "gcn"), 3)
        assert found is not None
        np.testing.assert_allclose(found.strength, np.array([[0.5, 0.5, 1.0], [0.0, 0.0, 0.0]]), atol=1e-6)


class TestLosses:
    def test_only_nodes_of_the_lesson_cost_and_only_students_that_are_taught(self) -> None:
        logits = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
        lesson = Lesson(np.array([1, 3]), np.zeros((2, 3), np.float32), np.array([0.5, 0.0], np.float32))
        losses = lesson_losses(logits, [lesson], slice(2), PAIR)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert (logits.grad[0].abs().sum(dim=1) > 0).tolist() == [False, True, False, True]
        assert not logits.grad[1].any()
        own = logits.detach()[0, [1, 3]].log_softmax(dim=1)
        expected = 0.5 * 2 / 4 * (math.log(1 / 3) - own.mean().item())
        assert math.isclose(losses[0].item(), expected, rel_tol=1e-5)

    def test_a_student_that_agrees_loses_nothing(self) -> None:
        logits = torch.randn(1, 2, 3)
        lesson = Lesson(np.array([0, 1]), logits[0].numpy(), np.ones(1, np.float32))
        np.testing.assert_allclose(lesson_losses(logits, [lesson], slice(1), PAIR).item(), 0, atol=1e-6)


class TestStep:
    def teacher(self, lesson: Taught) -> MemberTeacher:
        teacher = MemberTeacher(students=2, memory=100.0)
        arrival = lesson.graph.arrival[np.flatnonzero(lesson.graph.alive)]
        teacher.remember(arrival, np.tile(np.array([[0.9, 0.1]], np.float32), (len(arrival), 1)))
        return teacher

    def step(self, lesson: Taught, teacher: MemberTeacher, strength: float = 1.0) -> set[str]:
        members = MembersTeaching([teacher], np.full((1, 2), strength, np.float32))
        nobody = np.zeros_like(EACH_OTHER)
        outcome = lesson.trainer.step(lesson.graph, lesson.replay, lesson.touched, nobody, members=members)
        return {name for name, term in outcome.losses.items() if term.any()}

    def test_drawn_nodes_with_a_prediction_are_taught(self) -> None:
        lesson = Taught(PAIR)
        assert "global" in self.step(lesson, self.teacher(lesson))

    def test_drawn_nodes_without_one_are_not(self) -> None:
        lesson = Taught(PAIR)
        assert "global" not in self.step(lesson, MemberTeacher(2, 100.0))

    def test_not_while_the_students_warm_up_nor_without_global_knowledge(self) -> None:
        for changed in (replace(PAIR, warmup_steps=5), replace(PAIR, global_weight=0.0)):
            lesson = Taught(changed)
            assert "global" not in self.step(lesson, self.teacher(lesson))

    def test_a_student_alone_is_taught_too(self) -> None:
        lesson = Taught(replace(PAIR, students=("sage",)))
        members = MembersTeaching([self.teacher(lesson)], np.ones((1, 1), np.float32))
        nobody = np.zeros((1, 1), np.float32)
        outcome = lesson.trainer.step(lesson.graph, lesson.replay, lesson.touched, nobody, members=members)
        assert outcome.losses["global"].any()


def taught(config: EngineConfig = TEACHING) -> Run:
    """Some turns of changes, in which members predict arrivals."""
    run, stream = learned(Run(config)), changes(5)
    for _ in range(8):
        run.turn(take(stream, 20), steps=2)
    return run


class TestEngine:
    def test_a_node_that_has_left_is_not_taught(self) -> None:
        run = taught()
        run.turn([UpsertNode("new", [1.0, 0.0, 0.0])])
        graph, teacher = run.engine.graph, run.engine.assessment.teachers[LINEAR]
        assert len(teacher.known(graph.arrival[graph.rows(["new"])], 2)[0]) == 1
        # Its row is taken by the next node, which arrives while there is no model.
        assert run.engine.linear is not None
        run.engine.linear.model = None
        run.turn([RemoveNode("new"), UpsertNode("next")])
        assert len(teacher.known(graph.arrival[graph.rows(["next"])], 2)[0]) == 0

    def test_members_are_there_under_best_and_are_served_under_none(self) -> None:
        run = taught()
        assert run.engine.linear is not None
        assert run.engine.assessment.combined is None
        assert run.engine.versions.served is not None
        assert run.engine.versions.served.version.student in BEST_OF_PAIR.trainer.students

    def test_nothing_is_kept_where_they_do_not_teach(self) -> None:
        tensors, _ = taught(replace(BEST_OF_PAIR, serve="auto")).engine.state()
        assert not any(name.startswith("teachers/") for name in tensors)

    def test_a_restored_engine_goes_on_in_the_same_bytes(self) -> None:
        run = taught()
        assert run.engine.assessment.teachers[LINEAR].strength().max() > 0
        other = Run(engine=Engine.restore(TEACHING, *run.engine.state(), DEVICE))
        batch = [*take(changes(6), 30), LabelNode("1", "even")]
        for each in (run, other):
            each.turn(batch, steps=4)
        assert "global" in run.engine.assessment.mean_losses
        assert_same_state(other.engine, run.engine)
