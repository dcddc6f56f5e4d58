from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from olad_core.config import MAX_CLASSES, TrainerConfig
from olad_core.events import Event, LabelNode, RemoveNode, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.learning import step as step_module
from olad_core.learning import trainer as trainer_module
from olad_core.learning.group import Group
from olad_core.learning.health import PATIENCE
from olad_core.learning.label_history import Replay, Touched
from olad_core.learning.step import update
from olad_core.learning.trainer import StepOutcome, Trainer
from olad_core.messages.sample import Sample, sample
from olad_core.parts import Parts, whole
from olad_core.step_size import StepSize
from olad_core.students import ARCHITECTURES, InputShape, Memory, recurrent
from tests.device import DEVICE
from tests.olad_core.streams import FEATURES, two_communities

SMALL = TrainerConfig(
    width=8,
    local_weight=0.01,
    labelled=32,
    touched=16,
    fanouts=(4, 4),
    warmup_steps=0,
    discriminator_width=8,
    min_confidence=0.0,
    hidden_dropout=0.0,
    feature_dropout=0.0,
    feature_decay=5e-4,
)
PAIR = replace(SMALL, students=("gcn", "sage"))
EACH_OTHER = np.array([[0, 1], [1, 0]], np.float32)


class Lesson:
    """A trainer with the graph it learns from, labels and touched rows followed as in the engine."""

    def __init__(
        self, config: TrainerConfig, events: Sequence[Event] | None = None, max_classes: int = MAX_CLASSES
    ) -> None:
        self.graph = DynamicGraph(max_classes=max_classes)
        self.replay = Replay(config.recent_labels)
        self.touched = Touched(config.recent_touched)
        self.apply(two_communities() if events is None else events)
        self.trainer = Trainer(Group(config, InputShape.of_graph(self.graph), len(self.graph.classes), DEVICE))
        self.teaching = np.zeros((len(config.students),) * 2, np.float32)

    def apply(self, events: Sequence[Event]) -> None:
        change = self.graph.apply(events, 0.0)
        self.replay.add(change.labelled, self.graph)
        self.touched.add(change.created)

    def step(self) -> dict[str, npt.NDArray[np.float32]]:
        return self.trainer.step(self.graph, self.replay, self.touched, self.teaching).losses

    def steps(self, count: int) -> list[npt.NDArray[np.float32]]:
        return [self.step()["supervised"] for _ in range(count)]

    def learned(self) -> dict[str, Tensor]:
        """Every weight of the students and the optimizer's moments, but nothing that only watches the features."""
        tensors, _ = self.trainer.state()
        kept = ("student/", "student_optimizer/")
        return {
            name: value for name, value in tensors.items() if name.startswith(kept) and not name.endswith("mean_square")
        }

    def probabilities(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Of every student."""
        trainer = self.trainer
        group = trainer.group
        return whole(group.probabilities(self.graph, rows, group.by_name, group.num_classes(self.graph)))

    def restored(self, config: TrainerConfig) -> Trainer:
        """The trainer from its checkpoint."""
        memory = Memory(recurrent(config.students), config.width, DEVICE)
        memory.restore(self.trainer.group.memory.state())
        tensors, values = self.trainer.state()
        return Trainer.restore(Group.restore(config, tensors, values, DEVICE, memory), tensors, values)

    def accuracy(self) -> npt.NDArray[np.float64]:
        """Of every student on every labelled node."""
        rows = np.flatnonzero(self.graph.alive & (self.graph.label >= 0))
        right = self.probabilities(rows).argmax(axis=2) == self.graph.label[rows]
        means: npt.NDArray[np.float64] = right.mean(axis=1)
        return means


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class TestLearning:
    @pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
    def test_every_student_learns_to_tell_two_communities_apart(self, architecture: str) -> None:
        lesson = Lesson(replace(SMALL, students=(architecture,)))
        losses = np.array(lesson.steps(60))[:, 0]
        assert losses[-5:].mean() < 0.5 * losses[:3].mean()
        # The features alone tell most of them apart, the neighbours the rest.
        assert lesson.accuracy()[0] > (0.75 if architecture == "mlp" else 0.9)

    def test_a_group_of_one_has_no_one_to_learn_from(self) -> None:
        lesson = Lesson(replace(SMALL, students=("gcn",)))
        lesson.teaching = np.ones((1, 1), np.float32)
        assert set(lesson.step()) == {"supervised", "disagreement"}
        assert lesson.trainer.group.names == ("gcn",)

    def test_all_terms_together_learn_with_dropout_and_time(self) -> None:
        lesson = Lesson(replace(TrainerConfig(), width=8, learning_rate=0.01, fanouts=(4, 4), warmup_steps=20))
        lesson.teaching = np.full((4, 4), 1 / 3, np.float32) * (1 - np.eye(4, dtype=np.float32))
        for number in range(100):
            lesson.step()
            if number % 20 == 19:
                lesson.trainer.group.advance(lesson.graph, lesson.touched.lately(lesson.graph))
        assert lesson.trainer.steps == 100
        assert (lesson.accuracy() > 0.85).all()

    def test_a_graph_without_features_is_learned_from(self) -> None:
        events = [
            UpsertNode(event.id, label=event.label) for event in two_communities() if isinstance(event, LabelNode)
        ]
        lesson = Lesson(replace(SMALL, students=tuple(ARCHITECTURES)), events)
        assert np.isfinite(lesson.steps(3)).all()


class TestParts:
    """The default group, with every kind of knowledge, on a graph that changes while the step is under way."""

    CONFIG = replace(TrainerConfig(), width=8, fanouts=(4, 4), warmup_steps=0, local_weight=0.1)

    def lesson(self) -> Lesson:
        lesson = Lesson(self.CONFIG)
        lesson.teaching = np.full((4, 4), 1 / 3, np.float32) * (1 - np.eye(4, dtype=np.float32))
        lesson.steps(2)
        return lesson

    def parts(self, lesson: Lesson) -> Parts[StepOutcome]:
        return lesson.trainer.step_in_parts(lesson.graph, lesson.replay, lesson.touched, lesson.teaching)

    def change(self, lesson: Lesson, part: int) -> None:
        lesson.apply([LabelNode(str(part), "another"), RemoveNode(str(part + 1)), UpsertNode(f"new{part}", [1.0] * 4)])

    def test_a_graph_that_changes_between_parts_changes_nothing(self) -> None:
        whole_step, in_parts = self.lesson(), self.lesson()
        expected = whole_step.step()
        parts, count = self.parts(in_parts), 0
        try:
            while True:
                next(parts)
                self.change(in_parts, 2 * count)
                count += 1
        except StopIteration as done:
            found = done.value.losses
        assert count > 20
        assert set(found) == {"supervised", "global", "disagreement", "discriminator", "local"}
        assert {name: term.tobytes() for name, term in found.items()} == {
            name: term.tobytes() for name, term in expected.items()
        }
        assert equal(in_parts.learned(), whole_step.learned())

    def test_no_weight_changes_before_the_last_part(self) -> None:
        lesson = self.lesson()
        before = lesson.learned()
        for _ in self.parts(lesson):
            assert equal(lesson.learned(), before)
        assert not equal(lesson.learned(), before)

    def test_time_may_advance_between_any_two_parts(self) -> None:
        count = len([*self.parts(self.lesson())])
        for moment in range(count):
            lesson = self.lesson()
            for number, _ in enumerate(self.parts(lesson)):
                if number == moment:
                    lesson.trainer.group.advance(lesson.graph, lesson.touched.lately(lesson.graph))
            assert (lesson.trainer.steps, lesson.trainer.skipped_steps) == (3, 0)


class TestTerms:
    @pytest.mark.parametrize(
        ("weights", "terms"),
        [
            ({}, {"supervised", "disagreement", "global", "discriminator", "local"}),
            ({"global_weight": 0.0}, {"supervised", "disagreement", "discriminator", "local"}),
            ({"local_weight": 0.0}, {"supervised", "disagreement", "global"}),
            ({"global_weight": 0.0, "local_weight": 0.0}, {"supervised", "disagreement"}),
        ],
    )
    def test_a_weight_of_zero_turns_a_term_off(self, weights: dict[str, float], terms: set[str]) -> None:
        lesson = Lesson(replace(PAIR, **weights))  # type: ignore[arg-type]
        lesson.teaching = EACH_OTHER
        assert set(lesson.step()) == terms

    def test_labels_are_hidden_only_of_nodes_that_are_learned_from(self, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn: list[npt.NDArray[np.int64]] = []

        def spied(graph: DynamicGraph, seeds: npt.NDArray[np.int64], *rest: Any) -> Sample:
            drawn.append(seeds)
            return sample(graph, seeds, *rest)

        monkeypatch.setattr(step_module, "sample", spied)
        lesson = Lesson(replace(PAIR, warmup_steps=0, labelled=4, touched=1000))
        lesson.apply(two_communities(90, labelled=False)[-60:])
        lesson.teaching = EACH_OTHER
        lesson.steps(10)
        known = [lesson.graph.label[seeds] >= 0 for seeds in drawn]
        assert all(labelled.sum() <= 4 for labelled in known)
        assert all((~labelled).any() for labelled in known)

    def test_where_teaching_does_not_help_there_are_labels_alone(self) -> None:
        assert set(Lesson(PAIR).step()) == {"supervised", "disagreement"}

    def test_both_kinds_of_knowledge_are_weighed_by_how_much_a_student_is_taught(self) -> None:
        lesson, half = Lesson(PAIR), Lesson(PAIR)
        lesson.teaching, half.teaching = EACH_OTHER, np.array([[0, 0.5], [0, 0]], np.float32)
        whole, less = lesson.step(), half.step()
        for term in ("global", "local"):
            np.testing.assert_allclose(less[term], whole[term] * [0.5, 0.0], rtol=1e-5)

    def test_warming_up_is_supervised_alone(self) -> None:
        lesson, plain = Lesson(replace(PAIR, warmup_steps=3)), Lesson(replace(PAIR, global_weight=0, local_weight=0))
        lesson.teaching = plain.teaching = EACH_OTHER
        assert [set(lesson.step()) for _ in range(3)] == [{"supervised", "disagreement"}] * 3
        plain.steps(3)
        assert equal(lesson.learned(), plain.learned())
        assert set(lesson.step()) == {"supervised", "disagreement", "global", "discriminator", "local"}

    @pytest.mark.parametrize(("term", "weight"), [("global", "global_weight"), ("local", "local_weight")])
    def test_a_term_grows_with_its_weight(self, term: str, weight: str) -> None:
        found = []
        for value in (1.0, 3.0):
            lesson = Lesson(replace(PAIR, **{weight: value}))  # type: ignore[arg-type]
            lesson.teaching = EACH_OTHER
            found.append(lesson.step()[term])
        np.testing.assert_allclose(found[1], 3 * found[0], rtol=1e-5)

    def test_with_both_turned_off_students_learn_as_if_alone(self) -> None:
        group = Lesson(replace(PAIR, global_weight=0, local_weight=0))
        alone = Lesson(replace(PAIR, students=("gcn",)))
        group.teaching = EACH_OTHER
        np.testing.assert_allclose(np.array(group.steps(5))[:, 0], np.array(alone.steps(5))[:, 0], rtol=1e-5)

    @pytest.mark.parametrize("weight", ["global_weight", "local_weight"])
    def test_each_kind_of_knowledge_changes_what_is_learned(self, weight: str) -> None:
        lesson, plain = Lesson(PAIR), Lesson(replace(PAIR, **{weight: 0.0}))  # type: ignore[arg-type]
        lesson.teaching = plain.teaching = EACH_OTHER
        lesson.steps(2)
        plain.steps(2)
        assert not equal(lesson.learned(), plain.learned())

    def test_discriminators_are_asked_in_a_cycle(self) -> None:
        lesson = Lesson(replace(SMALL, students=("gcn", "sage", "gat"), learning_rate=0.0))
        asked: list[tuple[Tensor, bool]] = []
        lesson.trainer.group.discriminators.register_forward_pre_hook(
            lambda _, given, named: asked.append((given[0].detach(), named["next_in_cycle"])), with_kwargs=True
        )
        lesson.teaching = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]], np.float32) / np.float32(2)
        lesson.step()
        # On their own students, on their predecessors to distinguish them, and once more for the adversarial loss.
        assert [next_in_cycle for _, next_in_cycle in asked] == [False, True, True]
        assert all(torch.equal(given, asked[0][0]) for given, _ in asked)

    def test_discriminators_learn_nothing_from_being_fooled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lesson, plain = Lesson(PAIR), Lesson(PAIR)

        def not_the_students_of_plain(group: Group) -> Tensor:
            return torch.ones(2, dtype=torch.bool) if group is plain.trainer.group else update(group)

        monkeypatch.setattr(trainer_module, "update", not_the_students_of_plain)
        for each in (lesson, plain):
            each.teaching = EACH_OTHER
            each.step()
        taught, alone = (
            {name: value for name, value in each.trainer.state()[0].items() if name.startswith("discriminator")}
            for each in (lesson, plain)
        )
        assert equal(taught, alone)
        assert all(parameter.grad is not None for parameter in lesson.trainer.group.discriminators.parameters())

    def test_a_student_follows_its_teacher(self) -> None:
        # One label a step teaches little; a teacher that has learned before knows more.
        lesson = Lesson(replace(PAIR, local_weight=0.0))
        lesson.steps(40)
        followers = Lesson(replace(PAIR, local_weight=0.0, global_weight=0.0))
        teacher = {name: value for name, value in lesson.learned().items() if name.startswith("student/1/")}
        for name, value in followers.trainer.group.students[1].state_dict().items():
            if f"student/1/{name}" in teacher:
                value.copy_(teacher[f"student/1/{name}"])
        taught = replace(PAIR, local_weight=0.0, global_weight=50.0, labelled=1)
        followers.trainer.group.config = taught
        followers.teaching = np.array([[0, 1], [0, 0]], np.float32)
        followers.steps(60)
        rows = np.flatnonzero(followers.graph.alive)
        student, tutor = followers.probabilities(rows).argmax(axis=2)
        assert (student == tutor).mean() > 0.9

    def test_a_step_of_a_quarter_of_the_size_goes_half_as_far(self) -> None:
        # Adam's first step moves a weight by the learning rate, whatever its gradient.
        moved = []
        for share in (1.0, 0.25):
            lesson = Lesson(PAIR)
            before = lesson.trainer.group.students[0].head.weight.detach().clone()
            lesson.trainer.step(lesson.graph, lesson.replay, lesson.touched, lesson.teaching, StepSize(share))
            moved.append(float((lesson.trainer.group.students[0].head.weight.detach() - before).abs().max()))
        assert moved[0] == pytest.approx(PAIR.learning_rate, rel=1e-3)
        assert moved[1] == pytest.approx(PAIR.learning_rate / 2, rel=1e-3)

    def test_what_is_made_of_features_decays_faster_than_other_weights(self) -> None:
        lessons = [Lesson(replace(PAIR, feature_decay=decay)) for decay in (5e-4, 0.5)]
        for lesson in lessons:
            lesson.steps(60)
        for slow, fast in zip(*(lesson.trainer.group.students for lesson in lessons), strict=True):
            assert fast.encoder.weight.norm() < 0.5 * slow.encoder.weight.norm()
            assert fast.encoder.labels.norm() > 0.5 * slow.encoder.labels.norm()


class TestWhatIsNotFinite:
    @pytest.mark.parametrize("value", [3e38, 1e25, -3e38])
    def test_enormous_features_spoil_no_student(self, value: float) -> None:
        students = tuple(ARCHITECTURES)
        lesson = Lesson(replace(SMALL, students=students))
        lesson.apply([UpsertNode("huge", [value, value, 0.0], "odd")])
        lesson.steps(3)
        assert all(value.isfinite().all() for value in lesson.trainer.state()[0].values())
        lesson.apply([RemoveNode("huge")])
        lesson.steps(60)
        assert (lesson.accuracy() > [0.75 if name == "mlp" else 0.85 for name in students]).all()

    def test_a_step_without_a_finite_loss_is_skipped(self) -> None:
        lesson = Lesson(PAIR)
        lesson.steps(2)
        head = lesson.trainer.group.students[0].head.bias
        with torch.no_grad():
            head[1] = torch.inf
        before = lesson.learned()
        lesson.steps(2)
        assert equal(before, lesson.learned())
        assert (lesson.trainer.steps, lesson.trainer.skipped_steps) == (2, 2)
        with torch.no_grad():
            head[1] = 0
        lesson.steps(1)
        assert (lesson.trainer.steps, lesson.trainer.skipped_steps) == (3, 2)
        assert not equal(before, lesson.learned())

    def test_who_spoils_one_step_after_the_other_begins_anew_and_nobody_else(self) -> None:
        lesson = Lesson(PAIR)
        lesson.steps(2)
        spoiler, other = (student.state_dict() for student in lesson.trainer.group.students)
        with torch.no_grad():
            spoiler["head.bias"].fill_(torch.nan)
        kept = {name: value.clone() for name, value in other.items() if name != "mean_square"}
        lesson.steps(PATIENCE - 1)
        assert lesson.trainer.health.resets == 0
        lesson.steps(1)
        assert lesson.trainer.health.resets == 1
        assert all(value.isfinite().all() for value in lesson.trainer.group.students[0].state_dict().values())
        assert all(torch.equal(other[name], value) for name, value in kept.items())
        lesson.steps(60)
        assert lesson.trainer.skipped_steps == PATIENCE
        assert (lesson.accuracy() > 0.85).all()

    def test_discriminators_that_spoil_every_step_begin_anew(self) -> None:
        lesson = Lesson(PAIR)
        lesson.teaching = EACH_OTHER
        with torch.no_grad():
            lesson.trainer.group.discriminators.bias.fill_(torch.nan)
        lesson.steps(PATIENCE + 1)
        assert (lesson.trainer.health.resets, lesson.trainer.steps) == (1, 1)
        assert all(value.isfinite().all() for value in lesson.trainer.group.discriminators.state_dict().values())

    def test_a_checkpoint_counts_spoilt_steps_on(self) -> None:
        lesson = Lesson(PAIR)
        with torch.no_grad():
            lesson.trainer.group.students[1].head.bias.fill_(torch.nan)
        lesson.steps(PATIENCE - 1)
        lesson.trainer = lesson.restored(PAIR)
        lesson.steps(1)
        assert lesson.trainer.health.resets == 1

    def test_one_enormous_node_does_not_shrink_the_features_of_all_others(self) -> None:
        lesson = Lesson(PAIR)
        lesson.steps(30)
        usual = lesson.trainer.group.students[0].mean_square.item()
        lesson.apply([UpsertNode("huge", [1e30, 0.0, 0.0], "odd")])
        lesson.steps(3)
        assert lesson.trainer.group.students[0].mean_square.item() < 2 * usual

    def test_features_of_zeros_have_no_scale(self) -> None:
        zeros = [UpsertNode(str(node), [0.0] * FEATURES, str(node % 2)) for node in range(4)]
        lesson = Lesson(PAIR, zeros)
        lesson.steps(1)
        assert lesson.trainer.group.students[0].mean_square.item() == 1.0

    def test_without_labelled_nodes_there_is_no_step(self) -> None:
        lesson = Lesson(PAIR)
        lesson.steps(1)
        lesson.apply([RemoveNode(str(node)) for node in range(60)])
        before, _ = lesson.trainer.state()
        assert lesson.step() == {}
        after, _ = lesson.trainer.state()
        assert equal(before, after)
        assert (lesson.trainer.steps, lesson.trainer.skipped_steps) == (1, 0)


class TestDepth:
    def test_students_of_another_depth_than_the_samples_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"gcn has 2 layers, but fanouts has 3 numbers"):
            Lesson(replace(PAIR, fanouts=(4, 4, 4)))


class TestScale:
    @pytest.mark.parametrize("unit", [1e-4, 1e4])
    def test_the_unit_of_the_features_does_not_matter(self, unit: float) -> None:
        events = [
            UpsertNode(event.id, [unit * value for value in event.x])
            if isinstance(event, UpsertNode) and isinstance(event.x, list)
            else event
            for event in two_communities()
        ]
        lesson, plain = Lesson(PAIR, events), Lesson(PAIR)
        np.testing.assert_allclose(lesson.steps(5), plain.steps(5), rtol=1e-3)


class TestNewClasses:
    def test_heads_grow_and_what_was_learned_stays(self) -> None:
        lesson = Lesson(PAIR)
        lesson.steps(20)
        rows = np.flatnonzero(lesson.graph.alive)
        weights = [student.head.weight.detach().clone() for student in lesson.trainer.group.students]
        biases = [student.head.bias.detach().clone() for student in lesson.trainer.group.students]
        moments = lesson.learned()
        capacity = len(biases[0]) - 1
        lesson.apply([LabelNode("0", f"class-{number}") for number in range(capacity)])
        assert lesson.trainer.group.num_classes(lesson.graph) == capacity
        lesson.replay = Replay(1)  # a step with nothing to learn from grows the heads alone
        assert lesson.step() == {}
        assert lesson.trainer.group.num_classes(lesson.graph) == capacity + 2
        for student, weight, bias in zip(lesson.trainer.group.students, weights, biases, strict=True):
            assert torch.equal(student.head.weight[: capacity + 1], weight)
            assert torch.equal(student.head.bias[: capacity + 1], bias)
            assert not student.head.weight[capacity + 1 :].any()
        grown = lesson.learned()
        assert grown.keys() == moments.keys()
        assert all(torch.equal(grown[name][: len(old)], old) for name, old in moments.items() if old.dim())
        assert lesson.probabilities(rows).shape[2] == capacity + 2

    def test_a_class_beyond_the_first_heads_is_learned(self) -> None:
        lesson = Lesson(PAIR)
        lesson.steps(20)
        lesson.apply([LabelNode("0", f"class-{number}") for number in range(7)])
        lesson.apply([LabelNode(str(node), ["even", "late"][node % 2]) for node in range(60)])
        assert len(lesson.graph.classes) == 10
        lesson.steps(60)
        assert (lesson.accuracy() > 0.9).all()

    def test_a_class_added_since_the_last_step_is_not_spoken_of_yet(self) -> None:
        lesson = Lesson(PAIR)
        lesson.apply([LabelNode("0", f"class-{number}") for number in range(20)])
        assert lesson.probabilities(np.array([0, 1])).shape == (2, 2, 8)


class TestState:
    @pytest.mark.parametrize("students", [TrainerConfig.students, ("gcn", "gcn", "sage", "gcn")])
    @pytest.mark.parametrize("steps", [0, 1, 12])
    def test_goes_on_in_the_same_bytes(self, steps: int, students: tuple[str, ...]) -> None:
        config = TrainerConfig(students, width=8, fanouts=(3, 3), labelled=16, touched=8, warmup_steps=5)
        one, other = Lesson(config), Lesson(config)
        teaching = np.full((4, 4), 1 / 3, np.float32) * (1 - np.eye(4, dtype=np.float32))
        one.teaching = other.teaching = teaching
        one.steps(steps)
        one.trainer.group.advance(one.graph, one.touched.lately(one.graph))
        if steps == 12:
            one.apply([LabelNode("1", f"class-{number}") for number in range(12)])
            other.apply([LabelNode("1", f"class-{number}") for number in range(12)])
            one.step()
        other.trainer = one.restored(config)
        for lesson in (one, other):
            lesson.steps(6)
            lesson.probabilities(np.array([3, 1]))
            lesson.step()
        (one_tensors, one_values), (other_tensors, other_values) = one.trainer.state(), other.trainer.state()
        assert equal(one_tensors, other_tensors)
        assert one_values == other_values

    def test_is_a_copy(self) -> None:
        lesson = Lesson(PAIR)
        lesson.steps(1)
        tensors, _ = lesson.trainer.state()
        before = {name: value.clone() for name, value in tensors.items()}
        lesson.steps(2)
        assert equal(tensors, before)

    def test_the_seed_decides_everything(self) -> None:
        def after(seed: int) -> dict[str, Tensor]:
            lesson = Lesson(replace(PAIR, seed=seed, hidden_dropout=0.5))
            lesson.steps(3)
            return lesson.learned()

        assert equal(after(1), after(1))
        assert not equal(after(1), after(2))

    def test_torchs_own_random_state_is_left_alone(self) -> None:
        before = torch.random.get_rng_state()
        Lesson(replace(PAIR, hidden_dropout=0.5)).steps(2)
        assert torch.equal(torch.random.get_rng_state(), before)
