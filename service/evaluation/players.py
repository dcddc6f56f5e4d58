"""What plays a stream: the engine as the worker drives it, or a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from olad_core.config import EngineConfig
from olad_core.edge_tasks import TaskReport
from olad_core.engine import Engine
from olad_core.events import ClassDecision, GraphSchema
from olad_core.link_tasks import LinkReport
from olad_core.node_value_tasks import NodeValueReport
from olad_core.predicting import predict_served
from olad_core.tasks import node_class
from olad_core.tasks.label_rule import LabelRule
from olad_core.value_tasks import ValueTaskReport
from service.evaluation.task_outcomes import TaskOutcomes
from service.evaluation.value_outcomes import ValueOutcomes
from service.replay.arrival_stream import Batch
from service.worker.temporal_library import import_temporal_library

Probabilities = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """What is predicted of n nodes.

    Attributes:
        classes: names of the C columns.
        probabilities: ``[n, C]``; a row of NaN where there is no answer.
        labels: columns that are the labels ``[n]``, negative without an answer. None: the likeliest classes.
    """

    classes: Sequence[str]
    probabilities: Probabilities
    labels: Rows | None = None

    @classmethod
    def none(cls, nodes: int, classes: Sequence[str]) -> Answers:
        """No answer for any of them."""
        return cls(classes, np.full((nodes, len(classes)), np.nan, dtype=np.float32))

    def labelled_by(self, rule: LabelRule) -> Answers:
        """These answers with the labels that a rule decides."""
        if not rule or not self.classes:
            return self
        answered = np.isfinite(self.probabilities).all(axis=1)
        labels = node_class.decided_classes(np.nan_to_num(self.probabilities), rule.table(self.classes))
        return replace(self, labels=np.where(answered, labels, node_class.NO_CLASS))


class Player(Protocol):
    """Follows a stream, one entry after the other, and predicts the nodes that arrive."""

    def declare(self, schema: GraphSchema) -> None:
        """Take over the schema, before the first entry."""

    def apply(self, number: int, batch: Batch) -> Answers:
        """Apply the entry of this number, from 1, and predict the nodes that arrive in it.

        Nothing of a later entry is known, nor the labels of these nodes.
        """

    def learn(self) -> None:
        """Learn from what is known, after the predictions of an entry are scored."""

    @property
    def steps(self) -> int:
        """Training steps taken; 0 for a baseline."""

    @property
    def rejected(self) -> int:
        """Events that could not be applied."""

    @property
    def tasks(self) -> tuple[TaskReport, ...]:
        """How the tasks on edges stand."""

    @property
    def task_outcomes(self) -> TaskOutcomes:
        """What was predicted of labelled edges."""

    @property
    def node_values(self) -> tuple[NodeValueReport, ...]:
        """How the tasks on values of nodes stand."""

    @property
    def value_outcomes(self) -> ValueOutcomes:
        """What was predicted of nodes whose value has come."""


class EnginePlayer:
    """The engine as a worker with ``OLAD_STEPS_PER_ENTRY`` drives it, in process and without Redis.

    An event without a time has that of its entry's arrival, else the number of the entry, in seconds.

    Args:
        config: of the engine.
        steps_per_entry: training steps after each entry.
        device: where it computes.
        decisions: instead of those of the schema; None keeps them.
    """

    def __init__(
        self,
        config: EngineConfig,
        steps_per_entry: int,
        device: torch.device,
        decisions: Mapping[str, ClassDecision] | None = None,
    ) -> None:
        import_temporal_library()
        self._engine = Engine(config, device)
        self._steps_per_entry = steps_per_entry
        self._decisions = decisions
        self.task_outcomes = TaskOutcomes()
        """What was predicted of labelled edges."""
        self.value_outcomes = ValueOutcomes()
        """What was predicted of nodes whose value has come."""

    def declare(self, schema: GraphSchema) -> None:
        """Declare the schema as an entry of its own."""
        if self._decisions is not None:
            schema = schema.model_copy(update={"decisions": self._decisions})
        self._engine.declare("0-1", schema)

    def apply(self, number: int, batch: Batch) -> Answers:
        """Apply, refresh and publish one entry; what is served of its nodes."""
        engine = self._engine
        engine.apply(f"{number}-0", batch.events, float(number) if batch.came_at is None else batch.came_at)
        self.task_outcomes.add(engine.edge_tasks.labelled)
        self.value_outcomes.add(engine.node_values.scored)
        engine.refresh()
        rule = engine.take_publication().rule
        return self._served(batch.nodes).labelled_by(rule)

    def learn(self) -> None:
        """Take the training steps of an entry, and publish what they changed."""
        self._engine.learn(self._steps_per_entry)
        self._engine.take_publication()

    @property
    def steps(self) -> int:
        """Training steps of the group."""
        return self._engine.trainer.steps if self._engine.trainer else 0

    @property
    def rejected(self) -> int:
        """Events that could not be applied."""
        return self._engine.rejected_events

    @property
    def tasks(self) -> tuple[TaskReport, ...]:
        """How the tasks on classes of edges stand."""
        return self._engine.edge_tasks.reports()

    @property
    def links(self) -> tuple[LinkReport, ...]:
        """How the tasks on links stand."""
        return self._engine.link_tasks.reports()

    @property
    def value_tasks(self) -> tuple[ValueTaskReport, ...]:
        """How the tasks on values of edges stand."""
        return self._engine.value_tasks.reports()

    @property
    def node_values(self) -> tuple[NodeValueReport, ...]:
        """How the tasks on values of nodes stand."""
        return self._engine.node_values.reports()

    def _served(self, nodes: Sequence[str]) -> Answers:
        engine = self._engine
        served, trainer = engine.versions.served, engine.trainer
        answers = Answers.none(len(nodes), engine.graph.classes)
        rows = engine.graph.rows(nodes)
        # A node may leave in the entry in which it arrives.
        there = np.flatnonzero(rows >= 0)
        if served is None or trainer is None or not len(there):
            return answers
        # The request must not change what comes: the sampling for training continues as if there were none.
        random = trainer.group.random.bit_generator.state
        found = predict_served(engine.graph, rows[there], trainer.group, served)
        trainer.group.random.bit_generator.state = random
        answers.probabilities[there] = 0
        answers.probabilities[there, : found.shape[1]] = found
        return answers
