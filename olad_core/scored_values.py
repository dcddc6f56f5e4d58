"""The scores of a task that predicts values, and what it shares with others of its kind: report and state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypedDict

import numpy as np
import numpy.typing as npt

from olad_core.judging.value_scores import ValueScores, ValueTable
from olad_core.named_state import join_parts, take_part
from olad_core.tasks.values.model import Scored

Arrays = dict[str, npt.NDArray[Any]]


class ValueLearner(Protocol):
    """What such a task learns."""

    @property
    def arrived(self) -> int:
        """Edges or nodes that have arrived."""

    @property
    def waiting(self) -> int:
        """Of these, that are remembered and have no value."""

    @property
    def labels(self) -> int:
        """Edges or nodes whose value has come."""

    @property
    def steps(self) -> int:
        """Steps that the head has taken."""

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state`."""


class Standing(TypedDict):
    """The part of a :class:`~olad_core.judging.value_scores.ValueReport` that follows from learner and scores."""

    arrived: int
    waiting: int
    labels: int
    steps: int
    scored: int
    scores: ValueTable
    recent: ValueTable
    base: ValueTable
    base_recent: ValueTable


class ScoredValues:
    """Scores of what a task answered, and of its simple prediction.

    Args:
        learner: of the task.
        memory: values after which a score's weight has fallen to 1/e.
    """

    def __init__(self, learner: ValueLearner, memory: float) -> None:
        self._learner = learner
        self._scores, self._base = ValueScores(memory), ValueScores(memory)

    def add(self, scored: Sequence[Scored]) -> None:
        """Score predictions whose values have come, and what was predicted simply."""
        if scored:
            values, simple = np.array([one.value for one in scored]), np.array([one.simple for one in scored])
            low, value, high = np.array([one.answered for one in scored]).T
            self._scores.add(value, np.stack([low, high], axis=1), values)
            self._base.add(simple, np.stack([simple, simple], axis=1), values)

    def standing(self) -> Standing:
        """How the task stands."""
        learner = self._learner
        return Standing(
            arrived=learner.arrived,
            waiting=learner.waiting,
            labels=learner.labels,
            steps=learner.steps,
            scored=self._scores.scored,
            scores=self._scores.table(),
            recent=self._scores.recent(),
            base=self._base.table(),
            base_recent=self._base.recent(),
        )

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and plain values of learner and scores, for a checkpoint."""
        learned, values = self._learner.state()
        return join_parts({"learner": learned, "scores": self._scores.state(), "base": self._base.state()}), values

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state` of the same task."""
        self._learner.restore(take_part(arrays, "learner"), values)
        self._scores.restore(take_part(arrays, "scores"))
        self._base.restore(take_part(arrays, "base"))
