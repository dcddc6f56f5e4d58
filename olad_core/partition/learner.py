"""What the loop of a rank calls to learn: judge and remember each batch, take training steps, embed versions.

Weights, scores, decisions and what is served are the same at all ranks at all times: each rank computes them from the
same bytes. What a rank has for itself are the labels and layers of its own nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.config import EngineConfig
from olad_core.engine_state import join_tensors
from olad_core.graph.arrays import Float32s, Int64s
from olad_core.judging.arrivals import Predictions
from olad_core.judging.assessment import Assessment
from olad_core.judging.decisions import Decisions
from olad_core.known_labels import forget_before, note_classes
from olad_core.learning.convergence import Convergence
from olad_core.learning.group import Group
from olad_core.learning.label_history import Touched
from olad_core.learning.teaching import teaching_of, teaching_with_twins
from olad_core.learning.trainer import Trainer
from olad_core.named_state import join_parts, take_part
from olad_core.partition.exchange import Superstep, to_all
from olad_core.partition.keyed import key_of
from olad_core.partition.news import News, share_news
from olad_core.partition.partition import Followed, Partition
from olad_core.partition.predictions import predict_over_ranks
from olad_core.partition.seeds import LabelHistory
from olad_core.partition.training import Drawable, keyed, new_trainer, no_memory, step_over_ranks
from olad_core.partition.versions import PartVersions
from olad_core.serving.node_embeddings import leading_student
from olad_core.serving.publication import Version
from olad_core.step_size import FULL_SIZE, StepSize
from olad_core.students import InputShape, Student
from olad_core.taken_step import take_in

SLICE = 2048
"""Rows of a rank that are embedded at once."""
_PLACES = 1 << 20
"""A waiting prediction is found by its node's number modulo this: 8 MB, however many nodes there are."""
_ARRIVING, _COMPARED = 2, 3
"""Parts of the keys of what is drawn to predict."""


class LearnerState(NamedTuple):
    """Everything that decides what comes next, at one rank.

    Attributes:
        tensors: the same at all ranks.
        values: plain values, the same at all ranks.
        own: arrays of this rank, with numbers instead of rows. Those of several ranks can be joined by name.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]
    own: dict[str, npt.NDArray[np.generic]]


class PartitionedLearner:
    """A group of students that learns at all ranks of a graph, and the predictions of the best of them.

    Every rank makes the same calls in the same order. What exchanges records is a superstep.

    Args:
        config: how it works. ``auto`` serves the best student: nobody measures whether there is time for the group.
            Trees are not grown.
        partition: this rank, without students.
    """

    def __init__(self, config: EngineConfig, partition: Partition) -> None:
        self.config = replace(config, serve="group" if config.serve == "group" else "best", trees=False, linear=False)
        self.decisions = Decisions()
        self.assessment = Assessment(self.config)
        self.trainer: Trainer | None = None
        self.applied_events = 0
        self._partition, self._store = partition, partition.store
        self._versions = PartVersions(self.config, partition, self.decisions)
        self._history = LabelHistory(config.trainer.recent_labels)
        self._touched = Touched(config.trainer.recent_touched)
        self._convergence = Convergence()
        self._classes: set[int] = set()
        self._position = "0-0"
        self._arrivals = self._lowest = partition.store.arrivals
        self._advance_event = 0
        self._pass_place: list[int] = []

    @property
    def steps(self) -> int:
        """Training steps that have been taken by the present students."""
        return self.trainer.steps if self.trainer else 0

    @property
    def served(self) -> Version | None:
        """The version that is served; None before the first."""
        held = self._versions.served
        return held.version if held else None

    @property
    def leading(self) -> tuple[str, Student] | None:
        """Name and weights of the student that counts most in what is served; None before the first version."""
        held = self._versions.served
        if held is None:
            return None
        place = leading_student(held.weights.combination, len(held.weights.students))
        return [*held.students][place], held.weights.students[place]

    @property
    def lately_changed(self) -> Int64s:
        """Numbers of the nodes whose features or edges changed, the last first; some may have left."""
        return self._touched.rows[::-1]

    @property
    def candidate(self) -> Version | None:
        """The version on its way; None where there is none."""
        held = self._versions.candidate
        return held.version if held else None

    @property
    def made_at(self) -> str:
        """Position at which the weights of the served version were taken; empty before the first."""
        held = self._versions.served
        return held.position if held else ""

    @property
    def candidate_made_at(self) -> str:
        """The same of the version on its way."""
        held = self._versions.candidate
        return held.position if held else ""

    @property
    def refused(self) -> int:
        """Versions that were refused, since their weights were not finite."""
        return self._versions.refused

    @property
    def is_embedding(self) -> bool:
        """Whether a version is on its way: :meth:`embed` has something to do."""
        return self._versions.candidate is not None and not self._versions.embedded

    @property
    def embedded(self) -> bool:
        """Whether the version on its way is embedded at all ranks: :meth:`switch` serves it."""
        return self._versions.embedded

    @property
    def can_learn(self) -> bool:
        """Whether :meth:`step` is of use before something new comes."""
        if len(self._classes) < 2:
            return False
        if not self._convergence.reached:
            return True
        waits = self._versions.candidate is not None or self._versions.is_done(self.steps)
        return self.trainer is not None and not waits

    @property
    def resting(self) -> bool:
        """Whether there is nothing to learn nor to embed before something new comes."""
        return not (self.can_learn or self._versions.candidate is not None)

    @property
    def progress(self) -> float:
        """Share of the layers of the version on its way that are computed; 0 where there is none."""
        held = self._versions.candidate
        return held.filling.layer / (1 + held.filling.members[0].depth) if held else 0.0

    def missing(self) -> tuple[str, ...]:
        """What must still happen before the first version is served; empty once there is one."""
        if self.served:
            return ()
        if len(self._classes) < 2:
            return (f"labels of at least two classes ({len(self._classes)} so far)",)
        if self.candidate is None:
            return (f"training steps before the first version ({self.steps} of {self.config.publish_steps})",)
        return (f"embedding the graph for the first version ({self.progress:.0%} done)",)

    def changed(self, followed: Followed) -> Int64s:
        """Owned rows whose served answers a batch changed; none before the first version."""
        return _joined(followed.changed[: self._members])

    def changed_next(self, followed: Followed) -> Int64s:
        """Owned rows whose answers by the version on its way a batch changed, as far as it is embedded."""
        return _joined(followed.changed[self._members :])

    def answers(self, rows: Int64s) -> Float32s:
        """Served answers ``[n, 1 + C]`` of owned rows: the expected disagreement, then class probabilities.

        Call it when a version is served.
        """
        held = self._versions.served
        assert held, "no version is served"
        return held.answers(rows)

    def answers_next(self, rows: Int64s) -> Float32s:
        """The same by the version on its way. Call it when that is embedded."""
        held = self._versions.candidate
        assert held, "no version is on its way"
        return held.answers(rows)

    def adopt(self) -> Superstep[None]:
        """Begin to learn from a graph that was followed without learning: note the labels that there are."""
        store, graph = self._store, self._partition.graph
        rows = np.flatnonzero(store.owned & (graph.label >= 0))
        records = np.empty(rows.size, [("number", "<i8"), ("label", "<i4")])
        records["number"], records["label"] = store.number[rows], graph.label[rows]
        received = yield to_all("labels", records, store.rank, store.ranks)
        every = np.sort(np.concatenate([*received, records]), order="number")
        self._classes.update(every["label"].tolist())
        self._history.add(every["number"].astype(np.int64), store)
        self.assessment.know_classes(graph.classes)

    def follow(self, position: str, events: int, followed: Followed) -> Superstep[None]:
        """Judge what was predicted, and remember what there is to learn, of a batch that was applied.

        Args:
            position: of the batch in the log.
            events: that the log counts for it.
            followed: what became of it here.
        """
        self._position = position
        self.applied_events += events
        self.decisions.follow(position, self.applied_events)
        news = yield from share_news(self._store, followed.part, self._arrivals, self.config.trainer.recent_touched)
        self._arrivals, self._lowest = self._store.arrivals, news.lowest
        if news.anything:
            self._convergence.renew()
        self._touched.add(news.touched)
        self._advance()
        self.assessment.know_classes(self._partition.graph.classes)
        yield from self._predict_arrivals(news)
        self._score(news)

    def step(self, size: StepSize = FULL_SIZE) -> Superstep[bool]:
        """Take one training step, and begin a version where one is due; once converged, only the latter.

        Args:
            size: of the step.

        Returns:
            False while there is nothing to learn: until labels of two classes are known, and where every labelled
            node has left the graph.
        """
        if not self.can_learn:
            return False
        trainer = self._current_trainer()
        if not self._convergence.reached:
            self._convergence.begin_step(size)
            drawable = Drawable(self._history, self._touched.rows, self._lowest)
            classes = len(self._partition.graph.classes)
            teaching = teaching_with_twins(self.assessment, self.config.trainer.students, classes)
            outcome = yield from step_over_ranks(trainer, self._store, drawable, teaching, size)
            if not outcome.taken:
                self._convergence.exhaust()
                return False
            take_in(outcome, size, trainer, self._convergence, self.assessment, self.decisions)
            if not self._versions.is_due(trainer.steps):
                return True
        elif self._versions.is_done(trainer.steps):
            return False
        yield from self._start_version(trainer)
        return True

    def embed(self, rows: int = SLICE) -> Superstep[None]:
        """Embed one slice of the version on its way.

        Args:
            rows: of this rank, at most.
        """
        yield from self._versions.advance(rows)

    def switch(self) -> Version:
        """Serve the version on its way, which is embedded: every owned row has another answer from now on."""
        return self._versions.switch(self.steps)

    def take_students(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go on with the students of an engine; their scores, and versions of them, begin anew.

        Args:
            tensors: of the engine's trainer.
            values: of the same.

        Raises:
            KeyError, RuntimeError, ValueError: they are others than the configuration asks for.
        """
        group = Group.restore(self.config.trainer, tensors, values, torch.device("cpu"), no_memory(self.config.trainer))
        self.trainer = keyed(Trainer.restore(group, tensors, values))

    def state(self) -> LearnerState:
        """The state, of which layers are no part: they follow from the graph and the weights, to the byte."""
        shared, own = self._history.state()
        tensors, versions, place = self._versions.state()
        trained: dict[str, Tensor] = {}
        values: dict[str, Any] = {
            "position": self._position,
            "applied_events": self.applied_events,
            "arrivals": self._arrivals,
            "lowest": self._lowest,
            "advance_event": self._advance_event,
            "classes_seen": sorted(self._classes),
            "history": shared,
            "versions": versions,
            "convergence": self._convergence.state(),
            "decisions": self.decisions.state(),
        }
        if self.trainer:
            trained, values["trainer"] = self.trainer.state()
        arrays = self.assessment.state() | join_parts({"touched": self._touched.state()})
        arrays = {name: np.array(array) for name, array in arrays.items()}
        own = {name: np.array(array) for name, array in own.items()} | {"pass": np.array(place, np.int64)}
        return LearnerState(join_tensors(arrays, {"versions": tensors, "trainer": trained}), values, own)

    def load_state(self, state: LearnerState) -> None:
        """Take over a state, of this rank or of others that had its nodes; :meth:`resume` has to follow.

        Args:
            state: its arrays ``own`` may be those of several ranks (:func:`join_own`).
        """
        tensors, values = state.tensors, state.values
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        self._position, self.applied_events = values["position"], values["applied_events"]
        self._arrivals, self._lowest = values["arrivals"], values["lowest"]
        self._advance_event, self._classes = values["advance_event"], set(values["classes_seen"])
        self.decisions.restore(values["decisions"])
        self.decisions.follow(self._position, self.applied_events)
        self.assessment.know_classes(self._partition.graph.classes)
        self.assessment.restore(arrays)
        self._convergence.restore(values["convergence"])
        self._touched.restore(take_part(arrays, "touched"))
        self._history.restore(values["history"], state.own, self._store)
        self._versions.restore(take_part(tensors, "versions"), values["versions"])
        self._pass_place = [int(place) for place in state.own["pass"].tolist()]
        if "trainer" in values:
            config, trained = self.config.trainer, take_part(tensors, "trainer")
            group = Group.restore(config, trained, values["trainer"], torch.device("cpu"), no_memory(config))
            self.trainer = keyed(Trainer.restore(group, trained, values["trainer"]))

    def resume(self, rows: int = SLICE) -> Superstep[None]:
        """Compute the layers of what is served and on its way, after :meth:`load_state`; ``rows`` of a slice."""
        yield from self._versions.resume(rows, self._pass_place)

    @property
    def _members(self) -> int:
        """How many students the served version has."""
        held = self._versions.served
        return len(held.filling.members) if held else 0

    def _advance(self) -> None:
        """One step of time for students whose weights evolve, every so many events."""
        if self.trainer and self.applied_events - self._advance_event >= self.config.advance_events:
            for student in self.trainer.group.students:
                student.advance()
            self._advance_event = self.applied_events

    def _predict_arrivals(self, news: News) -> Superstep[None]:
        """Remember what is predicted of new nodes."""
        numbers = news.created[: self.config.arrivals_scored]
        if self.trainer is None or not numbers.size:
            return
        held = self._versions.served
        key = key_of(self.config.trainer.seed, _ARRIVING, self._arrivals)
        group, twins = self.trainer.group, self.trainer.twins
        beside = twins.students if twins else {}
        found = yield from predict_over_ranks(self._store, group, numbers, key, beside, held)
        count = len(group.students)
        predicted = Predictions(
            students=found.shares[:, :count],
            served=found.shares[:, -1] if held else np.full_like(found.shares[:, 0], np.nan),
            twins=found.shares[:, count : count + len(beside)] if twins else None,
        )
        self.assessment.remember(found.numbers % _PLACES, found.numbers, predicted)

    def _score(self, news: News) -> None:
        """Score the predictions that waited for labels; only then may these be learned from."""
        if not news.labelled.size:
            return
        scored = self.assessment.score(news.labelled % _PLACES, news.labelled, news.labels)
        self.assessment.compare_with_teachers(scored, teaching_of(self.assessment, len(self._partition.graph.classes)))
        new = sorted(set(news.labels.tolist()) - self._classes)
        self._classes.update(new)
        if new and self.trainer:
            names = self._partition.graph.classes
            note_classes([names[number] for number in new], len(self._classes), self.decisions)
        self._history.add(news.labelled, self._store)
        if scored.drift:
            least = self.config.least_remembered
            forget_before(scored.drift, self.assessment, self._history, least, self.decisions)

    def _start_version(self, trainer: Trainer) -> Superstep[None]:
        """Begin a version of what is best, after all have been compared on the last nodes without a label."""
        if self.assessment.combined:
            self.assessment.combined.fit()
        _, waiting = self.assessment.waiting()
        numbers = waiting[: self.config.arrivals_compared]
        if numbers.size:
            key = key_of(self.config.trainer.seed, _COMPARED, trainer.steps, self._arrivals)
            found = yield from predict_over_ranks(self._store, trainer.group, numbers, key)
            if found.numbers.size:
                self.assessment.observe(found.shares)
        graph = self._partition.graph
        classes = graph.classes[: trainer.group.num_classes(graph)]
        self._versions.start(trainer, self.assessment, classes, self._position)

    def _current_trainer(self) -> Trainer:
        """The trainer; a new one when features appear on a graph that had none, or types are declared."""
        graph = self._partition.graph
        shape, trained = InputShape.of_graph(graph), self.trainer.group.shape if self.trainer else None
        if self.trainer is None or trained != shape:
            if trained:
                reason, numbers = shape.explain_change(trained)
                self.decisions.add("group-restarted", f"{reason}: all students get new weights", numbers=numbers)
                self.assessment = Assessment(self.config)
                self.assessment.know_classes(graph.classes)
                self._versions.begin_anew()
            self.trainer = new_trainer(self.config.trainer, graph)
        return self.trainer


def _joined(changed: Sequence[Int64s]) -> Int64s:
    return np.unique(np.concatenate([np.empty(0, np.int64), *changed]))


def join_own(states: Iterable[Mapping[str, npt.NDArray[np.generic]]]) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays ``own`` of all ranks of a former number of them, for :meth:`PartitionedLearner.load_state`.

    Each rank keeps what is of its own nodes; the pass over a version on its way begins again.
    """
    every = list(states)
    joined = {name: np.concatenate([each[name] for each in every]) for name in every[0] if name != "pass"}
    return joined | {"pass": np.empty(0, np.int64)}
