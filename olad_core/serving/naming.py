"""Which versions get a number of their own: weights are published many times a second, and people need a few names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from olad_core.serving.publication import Version
from olad_core.serving.version_reasons import Reason

NUMBERED_STEPS = 1_000
"""Training steps after which weights get a new number, where the log has gone on meanwhile."""


@dataclass(frozen=True)
class Made:
    """Where a version's weights come from.

    Attributes:
        reason: why the version has a number of its own.
        step: training steps after which its weights were taken.
    """

    reason: Reason
    step: int


FIRST = Made("first", 0)


class Naming:
    """Follows what has changed since the last version with a number of its own.

    Weights that only go on from those before keep the number. So a version is refined until the next one begins, and
    no number is given while nothing but training goes on.
    """

    def __init__(self) -> None:
        self._step = 0
        self._position = "0-0"
        self._decided = 0
        self.pending: Reason | None = None
        """Why the next version gets a number of its own, whatever it is of; None where nothing asks for that."""

    @property
    def decided(self) -> int:
        """Number of the last decision before the version began."""
        return self._decided

    def reason(
        self,
        served: Version | None,
        student: str,
        classes: Sequence[str],
        *,
        former: bool,
        drifted: bool,
        steps: int,
        position: str,
    ) -> Reason | None:
        """Why the next weights need a number of their own; None where they go on with what is served.

        Args:
            served: the version that is served; None before the first.
            student: that the weights are of.
            classes: that they can name.
            former: whether what is served is of a former group.
            drifted: whether there was a drift since the last version with a number of its own.
            steps: training steps so far.
            position: of the log.
        """
        if served is None:
            return "first"
        if self.pending is not None:
            return self.pending
        found: tuple[tuple[bool, Reason], ...] = (
            (former, "new-students"),
            (student != served.student, "better-student"),
            (tuple(classes) != served.classes, "new-classes"),
            (drifted, "drift"),
            (position != self._position and steps - self._step >= NUMBERED_STEPS, "due"),
        )
        return next((reason for holds, reason in found if holds), None)

    def begin(self, steps: int, position: str, decided: int) -> None:
        """A version with a number of its own begins here."""
        self._step, self._position, self._decided, self.pending = steps, position, decided, None

    def begin_anew(self) -> None:
        """All students begin anew, and their training steps are counted anew."""
        self._step, self.pending = 0, self.pending or "new-students"

    def state(self) -> dict[str, object]:
        """Plain values for a checkpoint."""
        return {
            "step": self._step,
            "position": self._position,
            "decided": self._decided,
            "pending": self.pending,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the values of :meth:`state`."""
        self._step, self._position = int(state["step"]), str(state["position"])
        self._decided, self.pending = int(state["decided"]), state["pending"]
