"""How much better or worse than its group each student is, as its weights are now."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from olad_core.judging.fading import Fading
from olad_core.tasks.label_rule import RuleTable
from olad_core.tasks.node_class import labels_of_group

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LATELY = 200.0
"""Nodes after which it has been forgotten to 1/e whether a student agreed with its group: its weights move on."""
LOST, IMAGINED = 0.4, 50.0
"""Accuracy that is lost, of the nodes on which a student differs from its group, as a prior worth so many scored nodes.
"""


class Standing:
    """Expected accuracy of G students less that of their group, the mean of their predictions.

    A step with few labels moves a student's accuracy by points. Late labels score weights of long ago; but where a
    student differs from its group is known at once, without labels. Labels then show what that is worth: how often
    the group is right where the two differ, and how often the student.

    Args:
        group: number of students G.
        memory: scored nodes after which the weight of one has fallen to 1/e.
    """

    def __init__(self, group: int, memory: float) -> None:
        self._lately, self._scored = Fading(LATELY), Fading(memory)
        # Faded numbers of nodes: predicted, and of those on which the student differed.
        self._predicted = np.zeros((2, group))
        # Faded numbers of scored nodes: all, those on which they differed, with the group right, and with the student.
        self._differed = np.zeros((4, group))

    def observe(self, probabilities: npt.NDArray[np.float32], table: RuleTable | None = None) -> None:
        """Take in what students predict of nodes now, ``[n, G, C]``; one without an answer differs.

        With a ``table``, students differ where the label that it makes of their probabilities does.
        """
        if not probabilities.size:
            return
        own, group = labels_of_group(probabilities, table)
        differ = own != group[:, None]
        self._predicted = self._lately.added(self._predicted, np.ones_like(differ), differ)

    def compare(self, probabilities: npt.NDArray[np.float32], labels: Rows, table: RuleTable | None = None) -> None:
        """Compare each student with its group on nodes whose labels have come.

        Args:
            probabilities: ``[n, G, C]``, of the students at the nodes' arrival.
            labels: ``[n]``.
            table: what makes labels of probabilities; None: the likeliest class is the label.
        """
        if not probabilities.size:
            return
        own, of_group = labels_of_group(probabilities, table)
        group = of_group[:, None]
        differ, truth = own != group, labels[:, None]
        counted = np.ones_like(differ), differ, differ & (group == truth), differ & (own == truth)
        self._differed = self._scored.added(self._differed, *counted)

    @property
    def compared(self) -> Floats:
        """Scored nodes that stand behind it ``[G]``, with forgetting."""
        compared: Floats = self._differed[0].copy()
        return compared

    def expected(self, gained: Floats | None = None) -> Floats:
        """Score of each student less its group's ``[G]``; NaN before the first prediction.

        Args:
            gained: ``[G]``, by how much the student's score is higher than its group's on the :attr:`compared` nodes,
                times their number. None: by accuracy, where that is the nodes on which the student alone is right
                less those on which its group alone is.
        """
        predicted, apart = self._predicted
        _, differed, group_right, own_right = self._differed
        more = own_right - group_right if gained is None else gained
        worth = (more - LOST * IMAGINED) / (differed + IMAGINED)
        unknown = np.full(predicted.shape, np.nan)
        expected: Floats = np.divide(worth * apart, predicted, out=unknown, where=predicted > 0)
        return expected

    def forget(self, count: int) -> None:
        """Let what labels have shown weigh as much as ``count`` nodes at most, so that those to come count for more."""
        self._differed *= self._scored.shortened(self._differed[0], count)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {"heard": self._predicted.copy(), "differed": self._differed.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._predicted = state["heard"].astype(np.float64)
        self._differed = state["differed"].astype(np.float64)
