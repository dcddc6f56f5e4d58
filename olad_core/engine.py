"""The one thing the worker calls: apply events, refresh what is served, learn.

The engine is deterministic: the same calls with the same arguments from the same state give the same bytes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.distill.replay import Replay, Touched
from olad_core.distill.teaching import evidence_teaches
from olad_core.distill.trainer import PATIENCE, Trainer, TrainerConfig
from olad_core.evaluation.calibration import Temperatures
from olad_core.evaluation.decisions import Decisions, Kind, explain_choice
from olad_core.evaluation.drift import DriftWatch
from olad_core.evaluation.evidence import Evidence
from olad_core.evaluation.prequential import Arrivals, Scores
from olad_core.evaluation.selection import choose_best
from olad_core.events import Event, GraphSchema
from olad_core.graph import Changes, DynamicGraph, SchemaConflict
from olad_core.inference.touched import merge
from olad_core.publication import Publication, RejectedEvent
from olad_core.students import Memory, recurrent
from olad_core.versions import Versions

Rows = npt.NDArray[np.int64]
Values = dict[str, object]

LOSS_MEMORY = 0.95
"""Share of a mean loss that stays from one step to the next."""


@dataclass(frozen=True)
class EngineConfig:
    """How the engine learns, scores and publishes.

    Attributes:
        trainer: how the group learns.
        publish_steps: training steps between two versions, at least; and twice as many as it took to embed the last.
        score_memory: scored nodes after which a recent score's weight has fallen to 1/e.
        switch_margin: by how much another student's recent accuracy must be higher to take over.
        least_remembered: scored nodes that stay in memory after a drift, at least.
        drift_delta: probability that a look for drift finds one where there is none, at most.
        arrivals_scored: arrivals in one refresh that every student predicts, at most; the rest are not scored.
        arrivals_remembered: predictions that wait for a label, at most.
        advance_events: events between two steps of time for students with a memory.
    """

    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    publish_steps: int = 16
    score_memory: float = 500.0
    switch_margin: float = 0.005
    least_remembered: int = 50
    drift_delta: float = 0.002
    arrivals_scored: int = 256
    arrivals_remembered: int = 65_536
    advance_events: int = 1000


class Engine:
    """A live graph, a group of students learning on it, and the predictions of the best of them.

    Args:
        config: how it works.
        device: where it computes.
    """

    trainer_type: type[Trainer] = Trainer
    """What trains the group; ``benchmarks/learning`` compares others."""

    def __init__(self, config: EngineConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.graph = DynamicGraph()
        self.position = "0-0"
        self.applied_events = 0
        self.rejected_events = 0
        self.trainer: Trainer | None = None
        self.memory = Memory(recurrent(config.trainer.students), config.trainer.width, device)
        self.versions = Versions(device, self.memory)
        self.decisions = Decisions()
        self._replay = Replay(config.trainer.recent_labels)
        self._touched = Touched(config.trainer.recent_touched)
        self._classes_seen: set[int] = set()
        self._version_step = 0
        self._version_took = 0
        self._advance_event = 0
        self._unfollowed: list[Changes] = []
        self._removed: list[str] = []
        self._rejected: list[RejectedEvent] = []
        self._forget_scores()

    def apply(self, position: str, events: Sequence[Event], time: float) -> None:
        """Apply one log entry to the graph; predictions follow at the next :meth:`refresh`.

        Args:
            position: the entry's id.
            events: its events.
            time: the entry's time in seconds, for events without one.
        """
        changes = self.graph.apply(events, time)
        self._unfollowed.append(changes)
        self._removed.extend(changes.removed_ids)
        for rejection in changes.rejected:
            self._reject(position, rejection.index, rejection.op, rejection.reason, rejection.detail)
        self.position = position
        self.applied_events += len(events)

    def declare(self, position: str, schema: GraphSchema) -> None:
        """Apply a log entry that declares the schema."""
        try:
            self.graph.declare(schema)
        except SchemaConflict as conflict:
            self._reject(position, 0, "schema", "schema-conflict", str(conflict))
        self.position = position

    def skip(self, position: str, count: int, detail: str, content: str) -> None:
        """Go past a log entry that cannot be applied; it is rejected as a whole.

        Args:
            position: the entry's id.
            count: its number of events.
            detail: why.
            content: the entry as text.
        """
        self._rejected.append(RejectedEvent(position, -1, "batch", "apply-failed", detail, content))
        self.rejected_events += count
        self.position = position
        self.applied_events += count

    def refresh(self) -> None:
        """Bring predictions up to the applied events, score the new labels, remember both for training."""
        changes, self._unfollowed = self._unfollowed, []
        if not changes:
            return
        touch = merge(changes, self.graph)
        self._touched.add(touch.rows)
        self.memory.forget(touch.created)
        if self.trainer and self.applied_events - self._advance_event >= self.config.advance_events:
            lately = self._touched.lately(self.graph)
            self.trainer.advance(self.graph, lately)
            touch = replace(touch, remembered=lately)
            self._advance_event = self.applied_events
        self.versions.follow(self.graph, touch)
        self._predict_arrivals(touch.created)
        self._score_labels(changes)

    def publication(self) -> Publication:
        """Everything that changed since the last call, to become visible in one step."""
        gone = [node for node in dict.fromkeys(self._removed) if self.graph.rows([node])[0] < 0]
        updates, dropped = self.versions.updates(self.graph, tuple(gone))
        rejected, self._removed, self._rejected = tuple(self._rejected), [], []
        served = self.versions.served
        return Publication(
            self.position, self.applied_events, updates, served.version if served else None, dropped, rejected
        )

    def republish(self) -> None:
        """Let the next publication hold every prediction there is."""
        self.versions.note_all(self.graph)

    def learn(self, steps: int, share: float = 1.0) -> bool:
        """Take training steps, each with one slice of embedding a new version.

        Args:
            steps: how many.
            share: size of the steps and slices, 1 being the configured one: what bounds the time of each.

        Returns:
            False while there is nothing to learn: until labels of two classes are known, and where every labelled
            node has left the graph.
        """
        for _ in range(steps):
            if len(self._classes_seen) < 2:
                return False
            trainer = self._current_trainer()
            self._advance_version(share)
            terms = trainer.step(self.graph, self._replay, self._touched, self._teaching(), share)
            if not terms:
                return False
            self._average_losses(terms)
            for name in trainer.begun_anew:
                reason = f"{name} began anew: its losses or gradients were not finite for {PATIENCE} steps in a row"
                student = name if name in trainer.names else None
                self._decide("student-reset", reason, student=student, numbers={"resets": trainer.resets})
            # At most half of the time is spent on following two versions.
            due = self._version_step + max(self.config.publish_steps, 2 * self._version_took)
            if self.versions.candidate is None and trainer.steps >= due:
                self._start_version(trainer)
        return True

    def restart_training(self) -> None:
        """Give up the students and the version on its way; the next step begins with new ones."""
        if self.trainer:
            steps = self.trainer.steps
            self._decide("group-restarted", f"training failed after {steps} steps: all students begin anew")
        self.trainer = None
        self.versions.withdraw()
        self._version_step = 0

    def temperatures(self) -> npt.NDArray[np.float64]:
        """What to divide each student's logits by, so that its confidence is its accuracy: ``[G]``."""
        return self._temperatures.values()

    def missing(self) -> tuple[str, ...]:
        """What must still happen before the first version is served; empty once there is one."""
        if self.versions.served:
            return ()
        if len(self._classes_seen) < 2:
            return (f"labels of at least two classes ({len(self._classes_seen)} so far)",)
        candidate = self.versions.candidate
        if candidate is None:
            steps = self.trainer.steps if self.trainer else 0
            return (f"training steps before the first version ({steps} of {self.config.publish_steps})",)
        return (f"embedding the graph for the first version ({candidate.embedding.progress(self.graph):.0%} done)",)

    def state(self) -> tuple[dict[str, Tensor], Values]:
        """Tensors and plain values of everything that decides what comes next.

        Call it when everything is refreshed and published: what waits for either is not part of it. The tensors may
        be those in use: write or copy them (:class:`olad_core.room.Room`) before the engine's next call.
        """
        waiting = [*self._unfollowed, *self._removed, *self._rejected]
        assert not waiting, "refresh and publish first"
        parts: dict[str, Mapping[str, npt.NDArray[Any]]] = {
            "graph": self.graph.state(),
            "replay": self._replay.state(),
            "touched": self._touched.state(),
            "arrivals": self._arrivals.state(),
            "scores": self.scores.state(),
            "drift": self._drift.state(),
            "evidence": self._evidence.state(),
            "temperatures": self._temperatures.state(),
            "losses": self.mean_losses,
        }
        arrays = {f"{part}/{name}": array for part, group in parts.items() for name, array in group.items()}
        tensors = {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}
        held, versions = self.versions.state(rows=len(parts["graph"]["label"]))
        tensors |= {f"versions/{name}": tensor for name, tensor in held.items()}
        values: Values = {
            "position": self.position,
            "applied_events": self.applied_events,
            "rejected_events": self.rejected_events,
            "classes_seen": sorted(self._classes_seen),
            "version_step": self._version_step,
            "version_took": self._version_took,
            "advance_event": self._advance_event,
            "decisions": self.decisions.state(),
            "students": list(self.config.trainer.students),
            "width": self.config.trainer.width,
            "versions": versions,
        }
        if self.trainer:
            trained, values["trainer"] = self.trainer.state()
            tensors |= {f"trainer/{name}": tensor for name, tensor in trained.items()}
        tensors |= {f"memory/{name}": tensor for name, tensor in self.memory.state().items()}
        return tensors, values

    @classmethod
    def restore(
        cls, config: EngineConfig, tensors: Mapping[str, Tensor], values: Mapping[str, object], device: torch.device
    ) -> Engine:
        """The engine whose :meth:`state` this was.

        Raises:
            ValueError: the checkpoint was made with other students, or with students of another width.
        """
        asked: Values = {"students": list(config.trainer.students), "width": config.trainer.width}
        for name, value in asked.items():
            if values[name] != value:
                raise ValueError(
                    f"the checkpoint was made with {name} {values[name]}, the settings ask for {value}: "
                    f"set OLAD_{name.upper()} to the former or take an empty data directory"
                )

        def below(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        def arrays(part: str) -> dict[str, npt.NDArray[np.generic]]:
            return {name: tensor.numpy() for name, tensor in below(f"{part}/").items()}

        engine = cls(config, device)
        engine.graph = DynamicGraph.from_state(arrays("graph"))
        engine.position = str(values["position"])
        engine.applied_events = int(str(values["applied_events"]))
        engine.rejected_events = int(str(values["rejected_events"]))
        engine._classes_seen = set(values["classes_seen"])  # type: ignore[call-overload]
        engine._version_step = int(str(values["version_step"]))
        engine._version_took = int(str(values["version_took"]))
        engine._advance_event = int(str(values["advance_event"]))
        engine.decisions.restore(values["decisions"])  # type: ignore[arg-type]
        engine._replay.restore(arrays("replay"), engine.graph)
        engine._touched.restore(arrays("touched"))
        engine._arrivals.restore(arrays("arrivals"))
        engine.scores.restore(arrays("scores"))
        engine._drift.restore(arrays("drift"))
        engine._evidence.restore(arrays("evidence"))
        engine._temperatures.restore(arrays("temperatures"))
        engine.mean_losses = {name: array.astype(np.float64) for name, array in arrays("losses").items()}
        engine.memory.restore(below("memory/"))
        engine.versions = Versions.restore(below("versions/"), values["versions"], device, engine.memory)  # type: ignore[arg-type]
        if "trainer" in values:
            trained: Mapping[str, object] = values["trainer"]  # type: ignore[assignment]
            weights = below("trainer/")
            engine.trainer = engine.trainer_type.restore(config.trainer, weights, trained, device, engine.memory)
        return engine

    def _reject(self, position: str, index: int, op: str, reason: str, detail: str) -> None:
        self._rejected.append(RejectedEvent(position, index, op, reason, detail))
        self.rejected_events += 1

    def _decide(
        self,
        kind: Kind,
        reason: str,
        *,
        student: str | None = None,
        version: int | None = None,
        numbers: Mapping[str, float] | None = None,
    ) -> None:
        self.decisions.add(
            kind, self.position, self.applied_events, reason, student=student, version=version, numbers=numbers
        )

    def quality(self) -> npt.NDArray[np.float64]:
        """Expected accuracy of each student ``[G]``, NaN where nothing is known: it decides who teaches and serves."""
        return self._evidence.quality(self.scores.recent_accuracy()[:-1], self.scores.recent_weight()[:-1])

    def _teaching(self) -> npt.NDArray[np.float32]:
        untaught = np.zeros(len(self.config.trainer.students))
        training_loss = self.mean_losses.get("supervised", untaught)
        return evidence_teaches(self.quality(), training_loss, self._evidence.strength())

    def _current_trainer(self) -> Trainer:
        """The trainer; a new one when features appear on a graph that had none."""
        width = self.graph.num_features or 0
        if self.trainer is None or self.trainer.feature_width != width:
            if self.trainer:
                reason = f"features of width {width} have appeared: all students begin anew with them"
                self._decide("group-restarted", reason, numbers={"feature_width": width})
            classes = len(self.graph.classes)
            self.trainer = self.trainer_type(self.config.trainer, width, classes, self.device, self.memory)
            self.versions.withdraw()
            self._version_step = 0
            self._forget_scores()
        return self.trainer

    def _forget_scores(self) -> None:
        """Begin to score: a new group has the scores of no other."""
        predictors = len(self.config.trainer.students) + 1
        self.scores = Scores(predictors, self.config.score_memory)
        """Of every student, in order, and last of what was served."""
        self._arrivals = Arrivals(predictors, self.config.arrivals_remembered)
        self._drift = DriftWatch(self.config.drift_delta)
        self._temperatures = Temperatures(predictors - 1, self.config.score_memory)
        self._evidence = Evidence(predictors - 1, self.config.score_memory)
        self.mean_losses: dict[str, npt.NDArray[np.float64]] = {}

    def _average_losses(self, terms: Mapping[str, npt.NDArray[np.float32]]) -> None:
        for name, term in terms.items():
            if not np.isfinite(term).all():
                continue
            before = self.mean_losses.get(name, term)
            self.mean_losses[name] = np.asarray(LOSS_MEMORY * before + (1 - LOSS_MEMORY) * term, dtype=np.float64)

    def _advance_version(self, share: float) -> None:
        candidate, refused = self.versions.candidate, self.versions.refused
        self.versions.advance(self.graph, share)
        if candidate and self.versions.candidate is None and self.trainer:
            self._version_took = self.trainer.steps - self._version_step
        if candidate and self.versions.refused > refused:
            version = candidate.version
            reason = f"version {version.number} has more predictions that are no numbers than what is served"
            self._decide("version-refused", reason, student=version.student, version=version.number)

    def _start_version(self, trainer: Trainer) -> None:
        served = self.versions.served
        quality, margin = self.quality(), self.config.switch_margin
        current = trainer.names.index(served.version.student) if served else None
        best = choose_best(quality, self.mean_losses["supervised"], current, margin=margin)
        self._version_step = trainer.steps
        student, name = copy.deepcopy(trainer.students[best]), trainer.names[best]
        if not all(bool(torch.isfinite(value).all()) for value in student.state_dict().values()):
            self._decide("version-refused", f"the weights of {name} are not finite: no version of them", student=name)
            return
        kind, reason, numbers = explain_choice(trainer.names, quality, current, best, margin=margin)
        self._decide(kind, reason, student=name, version=self.versions.next_number, numbers=numbers)
        student.temperature.fill_(float(self.temperatures()[best]))
        classes = self.graph.classes[: trainer.num_classes(self.graph)]
        self.versions.start(student, name, classes, self.position)

    def _predict_arrivals(self, created: Rows) -> None:
        """Remember what every student, and what is served, says of nodes that have just arrived."""
        trainer = self.trainer
        if trainer is None or not len(created):
            return
        rows = created[: self.config.arrivals_scored]
        predictions = trainer.probabilities(self.graph, rows, trainer.group, trainer.num_classes(self.graph))
        group, nodes, classes = predictions.shape
        together = np.full((nodes, group + 1, classes), np.nan, dtype=np.float32)
        together[:, :group] = predictions.transpose(1, 0, 2)
        self._evidence.hear(together[:, :group])
        if self.versions.served:
            embedding = self.versions.served.embedding
            together[:, group] = 0
            together[:, group, : embedding.classes] = embedding.probabilities(rows)
            # Where the label came with the node, what is served has been told it.
            told = self.graph.label[rows] >= 0
            if told.any():
                served = {self.versions.served.version.student: embedding.student}
                unaware = trainer.probabilities(self.graph, rows[told], served, embedding.classes)
                together[told, group, : embedding.classes] = unaware[0]
        self._arrivals.add(rows, self.graph.arrival[rows], together)

    def _score_labels(self, changes: Sequence[Changes]) -> None:
        """Score the predictions that waited for these labels; only then may the labels be learned from."""
        labelled = np.concatenate([change.labelled for change in changes])
        labelled = labelled[self.graph.alive[labelled] & (self.graph.label[labelled] >= 0)]
        if not len(labelled):
            return
        _, last = np.unique(labelled[::-1], return_index=True)
        labelled = labelled[np.sort(len(labelled) - 1 - last)]
        places, predictions = self._arrivals.take(labelled, self.graph.arrival[labelled])
        labels = self.graph.label[labelled[places]].astype(np.int64)
        right = self.scores.add(predictions, labels)
        self._temperatures.add(predictions[:, :-1], labels)
        self._evidence.compare(predictions[:, :-1], labels, self._teaching())
        served = np.logical_not(np.isnan(predictions[:, -1]).any(axis=1))
        drift = self._drift.add(np.logical_not(right[served, -1]))
        self._see_classes(np.unique(self.graph.label[labelled]).tolist())
        self._replay.add(labelled, self.graph)
        if drift:
            count = max(drift.width, self.config.least_remembered)
            self.scores.forget(count)
            self._temperatures.forget(count)
            self._evidence.forget(count)
            self._replay.shorten(drift.width)
        if drift and drift.is_new:
            rose = f"rose from {100 * drift.before:.1f} % to {100 * drift.after:.1f} %"
            reason = f"errors of what was served {rose}: scores and labels before the last {drift.width} count for less"
            numbers = {"before": drift.before, "after": drift.after, "width": drift.width}
            self._decide("drift", reason, numbers=numbers)

    def _see_classes(self, seen: list[int]) -> None:
        new = sorted(set(seen) - self._classes_seen)
        self._classes_seen.update(new)
        if new and self.trainer:
            names = ", ".join(repr(self.graph.classes[number]) for number in new[:5]) + (", ..." if new[5:] else "")
            reason = f"labels {names} were seen for the first time: versions from now on can predict them"
            self._decide("classes-grown", reason, numbers={"new": len(new), "classes": len(self._classes_seen)})
