"""How good every student is, by its labels where there are enough and by its group where there are few."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from olad_core.judging.fading import Fading
from olad_core.tasks.node_class import group_classes, predicted_classes, taught_classes

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PRIOR = 100.0
"""A student's agreement with its group counts like so many scored nodes."""
TOLERATED, REFUSED = 1.0, 3.0
"""Standard errors by which teachers may be behind their student, and from which on they do not teach it."""


class Evidence:
    """What is known of G students beside their own scores: whether the group agrees, and how good their teachers are.

    Labels are late and often rare; the prediction of a group is mostly better than that of any member. So where few
    predictions are scored, the member that mostly agrees with the group is the likely best.

    Args:
        group: number of students G.
        memory: nodes after which a prediction's weight has fallen to 1/e.
    """

    def __init__(self, group: int, memory: float) -> None:
        self._fading = Fading(memory)
        self._agreed = np.zeros((2, group))
        # Faded numbers of nodes: compared, on which the teachers alone were right, and the student alone.
        self._taught = np.zeros((3, group))

    def observe(self, probabilities: npt.NDArray[np.float32]) -> None:
        """Take in what students predict of new nodes, ``[n, G, C]``; one without an answer does not agree."""
        if not probabilities.size:
            return
        agreed = predicted_classes(probabilities) == group_classes(probabilities)[:, None]
        self._agreed = self._fading.added(self._agreed, np.ones_like(agreed), agreed)

    def compare(self, probabilities: npt.NDArray[np.float32], labels: Rows, teaching: npt.NDArray[np.float32]) -> None:
        """Compare students with their teachers on nodes whose labels have come.

        Args:
            probabilities: ``[n, G, C]``, of the students at the nodes' arrival.
            labels: ``[n]``.
            teaching: ``[G, G]``, how much student ``j`` teaches student ``i``.
        """
        if not probabilities.size:
            return
        teachers = taught_classes(probabilities, teaching) == labels[:, None]
        own = predicted_classes(probabilities) == labels[:, None]
        is_taught = np.ones_like(own) & (teaching.sum(axis=1) > 0)
        counted = is_taught, is_taught & teachers & ~own, is_taught & own & ~teachers
        self._taught = self._fading.added(self._taught, *counted)

    def quality(self, accuracy: Floats, weight: Floats) -> Floats:
        """Expected accuracy ``[G]``, NaN where nothing is known: recent accuracy, with the agreement as its prior.

        Args:
            accuracy: recent accuracy ``[G]``; NaN before the first score.
            weight: how many scored nodes stand behind it ``[G]``.
        """
        predicted, agreed = self._agreed
        prior = PRIOR * (predicted > 0)
        right = np.nan_to_num(accuracy) * weight + prior * agreed / np.maximum(predicted, 1e-12)
        whole = weight + prior
        quality: Floats = np.divide(right, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
        return quality

    def strength(self) -> Floats:
        """How much each student is to be taught ``[G]``: 1, and down to 0 where its teachers are less often right.

        A group that is as good as its members can seldom be distinguished from one that is a little worse, and still
        teaches.
        """
        _, better, worse = self._taught
        return strength_by_evidence(better, worse)

    def forget(self, count: int) -> None:
        """Let what is known weigh as much as ``count`` nodes at most, so that those to come count for more."""
        self._agreed *= self._fading.shortened(self._agreed[0], count)
        self._taught *= self._fading.shortened(self._taught[0], count)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {"agreed": self._agreed.copy(), "taught": self._taught.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._agreed = state["agreed"].astype(np.float64)
        self._taught = state["taught"].astype(np.float64)


def strength_by_evidence(better: Floats, worse: Floats) -> Floats:
    """How much students are to be taught ``[G]``: 1, and down to 0 where their teachers are less often right.

    Only nodes on which one of the two is right distinguish them, and the difference must be more than chance
    (McNemar, "Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages", 1947).

    Args:
        better: nodes on which the teachers of each student alone were right ``[G]``.
        worse: those on which the student alone was.

    >>> strength_by_evidence(np.array([9.0, 4.0, 0.0]), np.array([0.0, 10.0, 24.0])).round(2)
    array([1.  , 0.73, 0.  ])
    """
    behind = (worse - better) / np.sqrt(worse + better + 1)
    strength: Floats = np.clip((REFUSED - behind) / (REFUSED - TOLERATED), 0, 1)
    return strength
