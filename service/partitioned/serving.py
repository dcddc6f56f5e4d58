"""What is served of a rank's part of the graph: a version with fixed weights, or what a group learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from olad_core.graph.arrays import Int64s
from olad_core.named_state import join_parts, take_part
from olad_core.partition import Followed, Partition, PartitionedLearner, Superstep
from olad_core.partition.frozen import FrozenVersion
from olad_core.partition.learner import LearnerState
from olad_core.serving.publication import Version
from olad_core.students import Student

Answers = npt.NDArray[np.float32]
OWN = "learner"
"""Begins the names of the learner's arrays among those of a rank's part."""


@dataclass(frozen=True)
class ServingState:
    """What a checkpoint holds of it.

    Attributes:
        tensors: the same at all ranks.
        values: plain ones, the same at all ranks.
        own: arrays of this rank.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]
    own: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


class Serving(Protocol):
    """What is served of a part of the graph. All ranks call the same methods in the same order."""

    @property
    def version(self) -> Version | None:
        """That readers get; None before the first."""

    @property
    def next_version(self) -> Version | None:
        """One whose answers are known of all nodes, and which is to be served next; None where there is none."""

    @property
    def made_at(self) -> str:
        """Position at which the served weights were taken."""

    @property
    def learner(self) -> PartitionedLearner | None:
        """Who learns; None where weights are fixed."""

    @property
    def leading(self) -> tuple[str, Student] | None:
        """Name and weights of the student that counts most in what is served; None before the first version."""

    @property
    def lately_changed(self) -> Int64s:
        """Numbers of the nodes whose features or edges changed, the last first; none where weights are fixed."""

    def begin(self) -> Superstep[None]:
        """Compute what is served, of a part that was restored."""

    def follow(self, position: str, events: int, followed: Followed) -> Superstep[None]:
        """Follow a batch that was applied."""

    def changed(self, followed: Followed) -> Int64s:
        """Owned rows whose answers are others since a batch."""

    def changed_next(self, followed: Followed) -> Int64s:
        """The same by the next version."""

    def answers(self, rows: Int64s) -> Answers:
        """Answers ``[n, 1 + C]`` about owned rows: the disagreement, then class probabilities."""

    def answers_next(self, rows: Int64s) -> Answers:
        """The same by the next version."""

    def state(self) -> ServingState:
        """What a checkpoint holds."""


class FrozenServing:
    """A version with fixed weights.

    Args:
        partition: the rank's part.
        frozen: the version.
    """

    next_version: Version | None = None
    learner: PartitionedLearner | None = None

    def __init__(self, partition: Partition, frozen: FrozenVersion) -> None:
        self._partition = partition
        self._frozen = frozen
        self.version: Version | None = frozen.version
        self.made_at: str = frozen.values["position"]
        self.leading: tuple[str, Student] | None = (frozen.version.student, frozen.student)
        self.lately_changed: Int64s = np.empty(0, np.int64)
        partition.serve([frozen.student], len(frozen.version.classes))

    def begin(self) -> Superstep[None]:
        """Compute all layers."""
        yield from self._partition.embed()

    def follow(self, position: str, events: int, followed: Followed) -> Superstep[None]:  # noqa: ARG002 (learns nothing)
        """Nothing: the layers have followed."""
        yield from ()

    def changed(self, followed: Followed) -> Int64s:
        """Owned rows whose answers are others since a batch."""
        return followed.changed[0]

    def changed_next(self, followed: Followed) -> Int64s:  # noqa: ARG002 (there is no next version)
        """None."""
        return np.empty(0, np.int64)

    def answers(self, rows: Int64s) -> Answers:
        """Answers ``[n, 1 + C]`` about owned rows."""
        return self._partition.answers_of(rows)

    def answers_next(self, rows: Int64s) -> Answers:  # noqa: ARG002 (there is no next version)
        """None are known.

        Raises:
            LookupError: always.
        """
        raise LookupError("weights are fixed")

    def state(self) -> ServingState:
        """The weights, and what they are of."""
        return ServingState(join_parts({"student": self._frozen.weights()}), {"version": dict(self._frozen.values)})


class LearningServing:
    """What a group serves that learns.

    Args:
        learner: of the rank's part.
        state: that the learner had; None where it begins on a graph that it has not followed.
    """

    def __init__(self, learner: PartitionedLearner, state: LearnerState | None) -> None:
        self.learner: PartitionedLearner | None = learner
        self._learner = learner
        self._restored = state is not None
        if state is not None:
            learner.load_state(state)

    @property
    def version(self) -> Version | None:
        """That readers get; None before the first."""
        return self._learner.served

    @property
    def next_version(self) -> Version | None:
        """The version on its way, once it is embedded."""
        return self._learner.candidate if self._learner.embedded else None

    @property
    def made_at(self) -> str:
        """Position at which the served weights were taken."""
        return self._learner.made_at

    @property
    def leading(self) -> tuple[str, Student] | None:
        """Name and weights of the student that counts most in what is served."""
        return self._learner.leading

    @property
    def lately_changed(self) -> Int64s:
        """Numbers of the nodes whose features or edges changed, the last first."""
        return self._learner.lately_changed

    def begin(self) -> Superstep[None]:
        """Compute all layers of a state that was restored; without one, note the labels that there are."""
        yield from self._learner.resume() if self._restored else self._learner.adopt()

    def follow(self, position: str, events: int, followed: Followed) -> Superstep[None]:
        """Judge and remember what came with a batch."""
        yield from self._learner.follow(position, events, followed)

    def changed(self, followed: Followed) -> Int64s:
        """Owned rows whose answers are others since a batch."""
        return self._learner.changed(followed)

    def changed_next(self, followed: Followed) -> Int64s:
        """The same by the version on its way."""
        return self._learner.changed_next(followed)

    def answers(self, rows: Int64s) -> Answers:
        """Answers ``[n, 1 + C]`` about owned rows."""
        return self._learner.answers(rows)

    def answers_next(self, rows: Int64s) -> Answers:
        """The same by the version on its way."""
        return self._learner.answers_next(rows)

    def state(self) -> ServingState:
        """The whole state of the learner. Tensors are copies: training goes on while they are written."""
        state = self._learner.state()
        tensors = {name: tensor.detach().clone() for name, tensor in state.tensors.items()}
        return ServingState(join_parts({OWN: tensors}), {OWN: state.values}, join_parts({OWN: state.own}))


def learner_state(tensors: dict[str, Tensor], values: dict[str, Any], own: dict[str, npt.NDArray[Any]]) -> LearnerState:
    """The learner's state out of what a checkpoint holds.

    Args:
        tensors: all that are the same at all ranks.
        values: likewise.
        own: the learner's arrays of this rank, or of all that there were.
    """
    return LearnerState(take_part(tensors, OWN), values[OWN], own)
