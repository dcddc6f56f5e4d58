"""A version with fixed weights, out of the state of an engine: what ranks serve that do not train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from olad_core.config import GROUP
from olad_core.errors import OladError
from olad_core.named_state import take_part
from olad_core.serving.publication import Version
from olad_core.students import InputShape, Student


class NotFrozen(OladError, ValueError):
    """What an engine serves cannot be served by ranks with fixed weights; the message names what to do."""


@dataclass(frozen=True)
class FrozenVersion:
    """A version of one student.

    Attributes:
        version: as it is published.
        student: with its weights.
        values: as they stand in checkpoints.
    """

    version: Version
    student: Student
    values: Mapping[str, Any]

    @classmethod
    def of_engine(cls, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> FrozenVersion:
        """The version that an engine serves.

        Args:
            tensors: of the engine's state (:meth:`~olad_core.engine.Engine.state`).
            values: of the same.

        Raises:
            NotFrozen: it serves none, or one of the group, or of a student that remembers.
        """
        served = values["versions"].get("served")
        if served is None:
            raise NotFrozen("it serves no version yet: let a worker without partitions train one first")
        if served["architecture"] == GROUP:
            raise NotFrozen(
                f"it serves version {served.get('shown', served['number'])} of the group: pin a version of one "
                "student, or let a worker without partitions run under OLAD_SERVE=best until it serves one"
            )
        return cls.from_state(take_part(take_part(tensors, "versions"), "served/student"), served)

    @classmethod
    def of_learner(cls, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> FrozenVersion:
        """The version that ranks serve which learn.

        Args:
            tensors: of the learner's state (:class:`~olad_core.partition.learner.LearnerState`).
            values: of the same.

        Raises:
            NotFrozen: as above.
        """
        served = values["versions"].get("served")
        if served is None:
            raise NotFrozen("it serves no version yet: let the worker learn until it does")
        if served["student"] == GROUP:
            raise NotFrozen("it serves a version of the group: let it learn under OLAD_SERVE=best first")
        [(_, architecture)] = served["members"]
        weights = take_part(tensors, "versions/served/student/0")
        return cls.from_state(weights, served | {"architecture": architecture})

    @classmethod
    def from_state(cls, weights: Mapping[str, Tensor], values: Mapping[str, Any]) -> FrozenVersion:
        """The version with these weights.

        Raises:
            NotFrozen: its student remembers.
        """
        version = Version(values["number"], values["student"], tuple(values["classes"]), values.get("shown", 0))
        capacity = len(weights["encoder.labels"])
        student = InputShape.read(values).build(values["architecture"], values["width"], capacity, 0)
        if student.remembers:
            raise NotFrozen(
                f"its student {version.student} has hidden states, which ranks do not keep: pin a version of another "
                "one"
            )
        student.load_state_dict(dict(weights))
        return cls(version, student, dict(values))

    def weights(self) -> dict[str, Tensor]:
        """The weights, for :meth:`from_state` together with ``values``."""
        return dict(self.student.state_dict())
