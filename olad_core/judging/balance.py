"""Whether classes are so even that accuracy says enough."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from olad_core.judging.metric import ACCURACY, MACRO_F1, Metric

Floats = npt.NDArray[np.float64]

UNEVEN, EVEN = 0.65, 0.75
"""Classes become unbalanced below the first evenness, and balanced again above the second one."""
FORGOTTEN = 0.01
"""A class that weighs less than this does not count."""
LEAST_SCORED = 100.0
"""Scored nodes before which classes count as balanced."""


def evenness(support: Floats) -> float:
    """Entropy of the classes over the greatest that it can be, from 0 to 1; 1 where there are less than two.

    With two classes, 0.7 is 19 % of the nodes in the rarer one.

    Args:
        support: nodes of each class ``[C]``; classes that are as good as forgotten do not count.

    >>> [round(evenness(np.array(support)), 2) for support in ([50.0, 50.0], [81.0, 19.0], [93.0, 7.0], [9.0, 0.0])]
    [1.0, 0.7, 0.37, 1.0]
    """
    present = support[support >= FORGOTTEN]
    if len(present) < 2:
        return 1.0
    shares = present / present.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(len(shares)))


def fitting_metric(support: Floats) -> Metric:
    """Accuracy where the classes are balanced, else macro-F1, for the end of a stream: there is nothing to alternate.

    >>> str(fitting_metric(np.array([930.0, 70.0])))
    'macro_f1'
    """
    return ACCURACY if evenness(support) >= (UNEVEN + EVEN) / 2 else MACRO_F1


class Balance:
    """Follows whether the classes of scored nodes are balanced; near the limit it stays as it is.

    >>> balance = Balance()
    >>> found = []
    >>> for rare in (300.0, 70.0, 200.0, 300.0):
    ...     balance.follow(np.array([1000 - rare, rare]))
    ...     found.append(balance.balanced)
    >>> found
    [True, False, False, True]
    """

    def __init__(self) -> None:
        self.balanced = True

    def follow(self, support: Floats) -> None:
        """Take in the nodes of each class ``[C]``, with forgetting."""
        present = support >= FORGOTTEN
        if support.sum() < LEAST_SCORED or np.count_nonzero(present) < 2:
            return
        limit = UNEVEN if self.balanced else EVEN
        self.balanced = evenness(support) >= limit

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {"balanced": np.array([self.balanced], dtype=np.int64)}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`; earlier releases had none, and find out anew."""
        if "balanced" in state:
            self.balanced = bool(state["balanced"][0])
