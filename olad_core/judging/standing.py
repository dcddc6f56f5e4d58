"""How much better or worse than its group each student is, as its weights are now."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from olad_core.judging.fading import Fading

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LATELY = 200.0
"""Nodes after which it has been forgotten to 1/e whether a student said what its group said: its weights move on."""
LOST, IMAGINED = 0.4, 50.0
"""Accuracy that is lost, of the nodes on which a student differs from its group, and how many scored nodes say so."""
NOTHING = -1


class Standing:
    """Expected accuracy of G students less that of their group, the mean of what they say.

    A step with few labels moves a student's accuracy by points. Labels that are late tell of weights of long ago; but
    where a student differs from its group is known at once, without labels. Labels tell what that is worth: how often
    the group is right where the two differ, and how often the student.

    Args:
        group: number of students G.
        memory: scored nodes after which the weight of one has fallen to 1/e.
    """

    def __init__(self, group: int, memory: float) -> None:
        self._lately, self._scored = Fading(LATELY), Fading(memory)
        # Faded numbers of nodes: heard, and of those on which the student differed.
        self._heard = np.zeros((2, group))
        # Faded numbers of scored nodes: all, those on which they differed, with the group right, and with the student.
        self._differed = np.zeros((4, group))

    def observe(self, probabilities: npt.NDArray[np.float32]) -> None:
        """Take in what students say of nodes now, ``[n, G, C]``; one that says no number differs."""
        if not probabilities.size:
            return
        own, group = _predicted_classes(probabilities)
        differ = own != group
        self._heard = self._lately.added(self._heard, np.ones_like(differ), differ)

    def compare(self, probabilities: npt.NDArray[np.float32], labels: Rows) -> None:
        """Compare each student with its group on nodes whose labels have come.

        Args:
            probabilities: ``[n, G, C]``, of the students at the nodes' arrival.
            labels: ``[n]``.
        """
        if not probabilities.size:
            return
        own, group = _predicted_classes(probabilities)
        differ, truth = own != group, labels[:, None]
        counted = np.ones_like(differ), differ, differ & (group == truth), differ & (own == truth)
        self._differed = self._scored.added(self._differed, *counted)

    def expected(self) -> Floats:
        """Accuracy of each student less its group's ``[G]``, from -1 to 1; NaN before anything was heard."""
        heard, apart = self._heard
        _, differed, group_right, own_right = self._differed
        worth = (own_right - group_right - LOST * IMAGINED) / (differed + IMAGINED)
        expected: Floats = np.divide(worth * apart, heard, out=np.full(heard.shape, np.nan), where=heard > 0)
        return expected

    def forget(self, count: int) -> None:
        """Let what labels told weigh as much as ``count`` nodes at most, so that those to come count for more."""
        self._differed *= self._scored.shortened(self._differed[0], count)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {"heard": self._heard.copy(), "differed": self._differed.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._heard = state["heard"].astype(np.float64)
        self._differed = state["differed"].astype(np.float64)


def _predicted_classes(probabilities: npt.NDArray[np.float32]) -> tuple[Rows, Rows]:
    """The classes that each student says, ``[n, G]``, and that those who say one say together, ``[n, 1]``."""
    sound: npt.NDArray[np.bool_] = np.asarray(np.isfinite(probabilities).all(axis=2))
    spoken = np.where(sound[:, :, None], probabilities, 0)
    own = np.where(sound, spoken.argmax(axis=2), NOTHING)
    return own, spoken.mean(axis=1).argmax(axis=1)[:, None]
