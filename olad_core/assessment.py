"""How good each student is, as predictions at arrival and training losses show: it decides who teaches and serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.config import EngineConfig
from olad_core.distill.teaching import evidence_teaches, worth_teaching
from olad_core.distill.trainer import Trainer
from olad_core.evaluation.calibration import Temperatures
from olad_core.evaluation.drift import Drift, DriftWatch
from olad_core.evaluation.evidence import Evidence
from olad_core.evaluation.prequential import Arrivals, Scores
from olad_core.evaluation.standing import Standing
from olad_core.graph import DynamicGraph
from olad_core.parts import join_parts, take_part
from olad_core.step_size import StepSize
from olad_core.versions import HeldVersion

Rows = npt.NDArray[np.int64]

LOSS_MEMORY = 0.95
"""Share of a mean loss that stays from one step to the next."""
LOOKED_AT = 200
"""Nodes about which students are asked again before one of them is chosen, in steps of the configured size."""


class Assessment:
    """What is known of G students and of what was served.

    Predictions are remembered when a node arrives and scored when its label comes, before anything is learned from it.

    Args:
        config: of the engine.
    """

    def __init__(self, config: EngineConfig) -> None:
        students = len(config.trainer.students)
        self.scores = Scores(students + 1, config.score_memory)
        """Of every student, in order, and last of what was served."""
        self.mean_losses: dict[str, npt.NDArray[np.float64]] = {}
        """Of the last training steps: ``[G]`` by the term's name."""
        self._untaught = np.zeros(students)
        self._arrivals = Arrivals(students + 1, config.arrivals_remembered)
        self._drift = DriftWatch(config.drift_delta)
        self._temperatures = Temperatures(students, config.score_memory)
        self._evidence = Evidence(students, config.score_memory)
        self._standing = Standing(students, config.score_memory)

    def quality(self) -> npt.NDArray[np.float64]:
        """Expected accuracy of each student ``[G]``, NaN where nothing is known."""
        return self._evidence.quality(self.scores.recent_accuracy()[:-1], self.scores.recent_weight()[:-1])

    def standing(self) -> npt.NDArray[np.float64]:
        """Expected accuracy of each student, as it is now, less the group's ``[G]``, NaN where nothing is known."""
        return self._standing.expected()

    def scored(self) -> int:
        """Nodes that have been scored so far, whoever predicted them."""
        return int(self.scores.scored[:-1].max())

    def teaching(self) -> npt.NDArray[np.float32]:
        """How much student ``j`` is to teach student ``i``: ``[G, G]``."""
        training_loss = self.mean_losses.get("supervised", self._untaught)
        log_loss, weight = self.scores.recent_log_loss()[:-1], self.scores.recent_weight()[:-1]
        strength = self._evidence.strength() * worth_teaching(training_loss, log_loss, weight)
        return evidence_teaches(self.quality(), training_loss, strength)

    def temperatures(self) -> npt.NDArray[np.float64]:
        """What to divide each student's logits by, so that its confidence is its accuracy: ``[G]``."""
        return self._temperatures.values()

    def add_losses(self, terms: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Take in the loss terms ``[G]`` of one training step; those that are not finite tell nothing."""
        for name, term in terms.items():
            if not np.isfinite(term).all():
                continue
            before = self.mean_losses.get(name, term)
            self.mean_losses[name] = np.asarray(LOSS_MEMORY * before + (1 - LOSS_MEMORY) * term, dtype=np.float64)

    def remember(self, graph: DynamicGraph, rows: Rows, trainer: Trainer, served: HeldVersion | None) -> None:
        """Remember what every student, and what is served, says of nodes that have just arrived.

        Args:
            graph: the live graph, with the nodes in it.
            rows: of the nodes, distinct.
            trainer: of the students.
            served: the version that is served; None while there is none.
        """
        predictions = trainer.group.probabilities(graph, rows, trainer.group.by_name, trainer.group.num_classes(graph))
        group, nodes, classes = predictions.shape
        together = np.full((nodes, group + 1, classes), np.nan, dtype=np.float32)
        together[:, :group] = predictions.transpose(1, 0, 2)
        self._evidence.hear(together[:, :group])
        self._standing.hear(together[:, :group])
        if served:
            embedding = served.embedding
            together[:, group] = 0
            together[:, group, : embedding.classes] = embedding.probabilities(rows)
            # Where the label came with the node, what is served has been told it.
            told = graph.label[rows] >= 0
            if told.any():
                student = {served.version.student: embedding.student}
                unaware = trainer.group.probabilities(graph, rows[told], student, embedding.classes)
                together[told, group, : embedding.classes] = unaware[0]
        self._arrivals.add(rows, graph.arrival[rows], together)

    def look(self, graph: DynamicGraph, trainer: Trainer, size: StepSize) -> None:
        """Ask every student, as it is now, about the last nodes that wait for their label.

        Args:
            graph: the live graph.
            trainer: of the students.
            size: of the step; the full size asks about :data:`LOOKED_AT` nodes.
        """
        rows, arrival = self._arrivals.waiting()
        waits = graph.alive[rows] & (graph.arrival[rows] == arrival) & (graph.label[rows] < 0)
        rows = rows[waits][: max(1, size.of(LOOKED_AT))]
        if len(rows):
            said = trainer.group.probabilities(graph, rows, trainer.group.by_name, trainer.group.num_classes(graph))
            self._standing.hear(said.transpose(1, 0, 2))

    def score(self, graph: DynamicGraph, rows: Rows) -> Drift | None:
        """Score what was remembered of nodes whose labels have come; the drift that this shows, if there is one.

        Args:
            graph: the live graph, with the labels in it.
            rows: of the nodes, distinct, in the order of their labels.
        """
        places, predictions = self._arrivals.take(rows, graph.arrival[rows])
        labels = graph.label[rows[places]].astype(np.int64)
        right = self.scores.add(predictions, labels)
        self._temperatures.add(predictions[:, :-1], labels)
        self._evidence.compare(predictions[:, :-1], labels, self.teaching())
        self._standing.compare(predictions[:, :-1], labels)
        served = np.logical_not(np.isnan(predictions[:, -1]).any(axis=1))
        return self._drift.add(np.logical_not(right[served, -1]))

    def forget(self, count: int) -> None:
        """Let what is known weigh as much as ``count`` scored nodes at most, so that those to come count for more."""
        self.scores.forget(count)
        self._temperatures.forget(count)
        self._evidence.forget(count)
        self._standing.forget(count)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays for a checkpoint."""
        return join_parts(
            {
                "arrivals": self._arrivals.state(),
                "scores": self.scores.state(),
                "drift": self._drift.state(),
                "evidence": self._evidence.state(),
                "standing": self._standing.state(),
                "temperatures": self._temperatures.state(),
                "losses": self.mean_losses,
            }
        )

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._arrivals.restore(take_part(state, "arrivals"))
        self.scores.restore(take_part(state, "scores"))
        self._drift.restore(take_part(state, "drift"))
        self._evidence.restore(take_part(state, "evidence"))
        self._standing.restore(take_part(state, "standing"))
        self._temperatures.restore(take_part(state, "temperatures"))
        self.mean_losses = {name: array.astype(np.float64) for name, array in take_part(state, "losses").items()}
