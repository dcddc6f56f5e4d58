"""Twins that measure what teaching is worth: one is taught by the group, the other is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from typing_extensions import override

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import Event, LabelNode, UpsertEdge, UpsertNode
from olad_core.learning.step import Computed, Knowledge, Shown, StepNodes
from olad_core.learning.teaching import teaching_of, teaching_with_twins
from olad_core.learning.trainer import EVERY, SELDOM, Trainer
from olad_core.learning.twins import Twins
from olad_core.parts import Parts
from tests.device import DEVICE
from tests.olad_core.learning.test_trainer import EACH_OTHER, PAIR, Lesson, equal
from tests.olad_core.runs import CONFIG, Run, stream
from tests.olad_core.test_engine import assert_same_state

MEASURED = replace(PAIR, measures_teaching=True, local_weight=0.0, hidden_dropout=0.3, feature_dropout=0.1)
TAUGHT = np.concatenate([EACH_OTHER, [[1, 0]]]).astype(np.float32)
"""The last row teaches the taught twin."""
NOBODY = np.zeros((3, 2), np.float32)


def lesson(teaching: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Lesson:
    made = Lesson(MEASURED)
    made.teaching = teaching
    return made


def weights(twins: Twins | None, place: int) -> dict[str, Tensor]:
    assert twins is not None
    return {name: value.detach().clone() for name, value in twins.students[f"twin-{place}"].named_parameters()}


class TestTwins:
    def test_learn_the_same_where_nobody_is_taught(self) -> None:
        one = lesson(NOBODY)
        begun = weights(one.trainer.twins, 0)
        one.steps(5)
        assert equal(weights(one.trainer.twins, 0), weights(one.trainer.twins, 1))
        assert not equal(weights(one.trainer.twins, 0), begun)

    def test_differ_where_the_group_teaches(self) -> None:
        one = lesson(TAUGHT)
        one.steps(5)
        assert not equal(weights(one.trainer.twins, 0), weights(one.trainer.twins, 1))

    def test_the_untaught_one_does_not_depend_on_who_teaches(self) -> None:
        one, other = lesson(TAUGHT), lesson(np.concatenate([EACH_OTHER, [[0, 1]]]).astype(np.float32))
        one.steps(5), other.steps(5)
        assert equal(weights(one.trainer.twins, 0), weights(other.trainer.twins, 0))
        assert not equal(weights(one.trainer.twins, 1), weights(other.trainer.twins, 1))

    def test_the_group_learns_as_it_does_without_them(self) -> None:
        one, plain = lesson(TAUGHT), Lesson(replace(MEASURED, measures_teaching=False))
        plain.teaching = EACH_OTHER
        one.steps(5), plain.steps(5)
        assert equal(one.learned(), plain.learned())

    def test_no_weight_of_theirs_changes_before_the_last_part(self) -> None:
        one = lesson(TAUGHT)
        one.steps(2)
        before = weights(one.trainer.twins, 1)
        for _ in one.trainer.step_in_parts(one.graph, one.replay, one.touched, one.teaching):
            assert equal(weights(one.trainer.twins, 1), before)
        assert not equal(weights(one.trainer.twins, 1), before)

    def test_know_a_class_as_soon_as_the_group_does(self) -> None:
        one = lesson(TAUGHT)
        one.steps(2)
        one.apply([LabelNode("0", f"class-{number}") for number in range(12)])
        one.apply([LabelNode(str(node), "late") for node in range(0, 60, 2)])
        one.steps(2)
        assert one.trainer.twins is not None
        heads = [student.head for student in (*one.trainer.group.students, *one.trainer.twins.students.values())]
        assert len({len(head.bias) for head in heads}) == 1

    @pytest.mark.parametrize(("taught", "every"), [(1.0, EVERY), (0.05, SELDOM)])
    def test_learn_in_some_of_the_steps(self, taught: float, every: int) -> None:
        one = lesson(np.concatenate([taught * EACH_OTHER, [[1, 0]]]).astype(np.float32))
        learned = []
        for _ in range(8):
            before = weights(one.trainer.twins, 1)
            terms = one.step()
            learned.append(not equal(weights(one.trainer.twins, 1), before))
            # A group that is taught hardly at all is taught then alone.
            assert ("global" in terms) == (learned[-1] or taught == 1)
        assert learned == [number % every == 0 for number in range(8)]

    @pytest.mark.parametrize("change", [{"global_weight": 0.0}, {"students": ("gcn",)}, {"measures_teaching": False}])
    def test_are_not_there_where_there_is_nothing_to_measure(self, change: dict[str, object]) -> None:
        assert Lesson(replace(MEASURED, **change)).trainer.twins is None  # type: ignore[arg-type]

    def test_go_on_in_the_same_bytes(self) -> None:
        one, other = lesson(TAUGHT), lesson(TAUGHT)
        one.steps(6)
        other.trainer = one.restored(MEASURED)
        one.steps(4), other.steps(4)
        for place in (0, 1):
            assert equal(weights(one.trainer.twins, place), weights(other.trainer.twins, place))
        (one_tensors, one_values), (other_tensors, other_values) = one.trainer.state(), other.trainer.state()
        assert equal(one_tensors, other_tensors)
        assert one_values == other_values

    def test_begin_where_the_checkpoint_has_none(self) -> None:
        plain = Lesson(replace(MEASURED, measures_teaching=False))
        plain.teaching = EACH_OTHER
        plain.steps(3)
        assert plain.restored(MEASURED).twins is not None
        measured = lesson(TAUGHT)
        measured.steps(3)
        assert measured.restored(replace(MEASURED, measures_teaching=False)).twins is None


class Oracle(Trainer):
    """Its teachers know the class of every node: the rows of the stream below alternate."""

    right = True

    @override
    def show(self, nodes: StepNodes, computed: Computed, knowledge: Knowledge) -> Parts[Shown]:
        shown = yield from super().show(nodes, computed, knowledge)
        if shown.teachers is None:
            return shown
        classes = (nodes.sample.rows[: nodes.sample.num_seeds] + (not self.right)) % 2
        logits = 5.0 * torch.eye(nodes.classes)[torch.from_numpy(classes)]
        return replace(shown, teachers=logits.expand(len(self.group.students), -1, -1))


class Misleading(Oracle):
    """Its teachers name the other class."""

    right = False


ENGINE = replace(
    CONFIG,
    trainer=replace(
        CONFIG.trainer, students=("gcn", "sage"), measures_teaching=True, touched=32, min_confidence=0.5, warmup_steps=2
    ),
    arrivals_scored=64,
    arrivals_remembered=400,
    score_memory=200,
    serve="best",
)


def noisy(turns: int = 40, nodes: int = 20, labelled: float = 0.3) -> list[list[Event]]:
    """Two classes in turns, which many noisy features show. Labels of a part come one turn late."""
    draw = np.random.default_rng(0)
    entries: list[list[Event]] = []
    late: list[Event] = []
    for turn in range(turns):
        entry, late = late, []
        for node in range(turn * nodes, (turn + 1) * nodes):
            x = draw.normal(0, 1, 40)
            x[:10] += 0.5 * (2 * (node % 2) - 1)
            entry.append(UpsertNode(str(node), x.tolist()))
            if node > 2:
                entry.append(UpsertEdge(str(node), str(int(draw.integers(node)))))
            if draw.random() < labelled or node < 2:
                late.append(LabelNode(str(node), ["even", "odd"][node % 2]))
        entries.append(entry)
    return entries


def play(trainer: type[Trainer], config: EngineConfig = ENGINE) -> Engine:
    run = Run(config)
    run.engine.trainer_type = trainer
    for entry in noisy():
        run.turn(entry, steps=6)
    return run.engine


class TestEngine:
    def test_teaching_that_misleads_ends_without_strength_and_costs_nothing(self) -> None:
        engine = play(Misleading)
        assert engine.assessment.worth is not None
        assert engine.assessment.worth.lead() < -3
        assert not teaching_of(engine.assessment, 2).any()
        untaught, taught = engine.assessment.worth.scores()
        assert taught > untaught + 0.05

    def test_teaching_that_helps_ends_with_its_whole_strength(self) -> None:
        engine = play(Oracle)
        assert engine.assessment.worth is not None
        assert engine.assessment.worth.lead() > 3
        allowed = engine.assessment.allowed_strength()
        np.testing.assert_allclose(teaching_of(engine.assessment, 2).sum(axis=1), allowed, rtol=1e-5)
        assert allowed.max() > 0.9
        # The twin is taught by the others than the member of its kind, and fully.
        np.testing.assert_allclose(
            teaching_with_twins(engine.assessment, ENGINE.trainer.students, 2)[-1], [1, 0], atol=1e-6
        )

    def test_goes_on_from_a_checkpoint_in_the_same_bytes(self) -> None:
        config = replace(CONFIG, trainer=replace(CONFIG.trainer, measures_teaching=True))
        whole, batches = Run(config), stream(turns=16)
        run = Run(config)
        for number, batch in enumerate(batches):
            whole.turn(batch, steps=3)
            run.turn(batch, steps=3)
            if number == 8:
                run.engine = Engine.restore(config, *run.engine.state(), DEVICE)
        assert_same_state(run.engine, whole.engine)

    @pytest.mark.parametrize("measures", [True, False])
    def test_a_checkpoint_of_either_kind_is_read_by_the_other(self, measures: bool) -> None:
        def config(measures: bool) -> EngineConfig:
            return replace(CONFIG, trainer=replace(CONFIG.trainer, measures_teaching=measures))

        run = Run(config(measures))
        batches = stream(turns=10)
        for batch in batches[:6]:
            run.turn(batch, steps=3)
        run.engine = Engine.restore(config(not measures), *run.engine.state(), DEVICE)
        for batch in batches[6:]:
            run.turn(batch, steps=3)
        assert (run.engine.assessment.worth is None) == measures
        assert run.engine.trainer is not None
        assert run.engine.trainer.steps > 20
