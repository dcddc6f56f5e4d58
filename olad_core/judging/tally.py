"""Counts of the scored nodes of one predictor, which can be subtracted: the scores of a time between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.tasks import node_class

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """What scored nodes come to, without forgetting.

    Attributes:
        scored: nodes.
        right: of these, those that were predicted rightly.
        loss: sum of their log-losses, in nats.
        classes: hits, predictions and labels of each class ``[3, C]``.

    >>> before = Tally(10, 6, 5.0, np.array([[6.0], [8.0], [9.0]]))
    >>> after = Tally(30, 22, 9.0, np.array([[20.0, 2.0], [25.0, 5.0], [24.0, 6.0]]))
    >>> between = after.since(before)
    >>> between.scored, between.accuracy, between.log_loss, between.plus(before) == after
    (20, 0.8, 0.2, True)
    """

    scored: int
    right: float
    loss: float
    classes: Floats

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and self.values() == other.values()

    __hash__ = None  # type: ignore[assignment]

    def since(self, before: Tally) -> Tally:
        """What has come after ``before``; all, where counting has begun anew meanwhile."""
        if self.scored < before.scored:
            return self
        return self._joined(before, -1)

    def plus(self, more: Tally) -> Tally:
        """Both together."""
        return self._joined(more, 1)

    @property
    def accuracy(self) -> float | None:
        """Share of the nodes that were predicted rightly; None without any."""
        return self.right / self.scored if self.scored else None

    @property
    def log_loss(self) -> float | None:
        """Mean log-loss in nats; None without any node."""
        return self.loss / self.scored if self.scored else None

    @property
    def macro_f1(self) -> float | None:
        """Mean over classes of the F1 of each; None without any node."""
        return float(node_class.macro_f1(self.classes[:, None])[0]) if self.scored else None

    def values(self) -> dict[str, object]:
        """Plain values for a checkpoint."""
        return {"scored": self.scored, "right": self.right, "loss": self.loss, "classes": self.classes.tolist()}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Tally:
        """The tally whose :meth:`values` these were."""
        classes = np.array(values["classes"], dtype=np.float64).reshape(3, -1)
        return cls(int(values["scored"]), float(values["right"]), float(values["loss"]), classes)

    def _joined(self, other: Tally, sign: int) -> Tally:
        width = max(self.classes.shape[1], other.classes.shape[1])
        own, others = (np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in (self.classes, other.classes))
        return Tally(
            self.scored + sign * other.scored,
            self.right + sign * other.right,
            self.loss + sign * other.loss,
            own + sign * others,
        )


NOTHING = Tally(0, 0.0, 0.0, np.zeros((3, 0)))
"""Without any node."""
