"""The most likely classes of a node: what is published where there are many classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from olad_core.config import PUBLISHED_CLASSES, PUBLISHED_WHOLE
from olad_core.graph.compiled import compiled
from olad_core.tasks.label_rule import RuleTable, decide, decide_among

Floats = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int32]


def are_wide(classes: int) -> bool:
    """Whether so many classes are too many for a published row."""
    return classes > PUBLISHED_WHOLE


def best_classes(probabilities: Floats, most: int = PUBLISHED_CLASSES) -> tuple[Classes, Floats]:
    """The likeliest classes of each node and their probabilities, each ``[n, most]``.

    The likeliest comes first; of equal ones the class of the lower number.

    Args:
        probabilities: of all classes ``[n, C]``, where C is at least ``most``.
        most: how many.

    >>> classes, shares = best_classes(np.array([[0.1, 0.3, 0.3, 0.2, 0.1]], np.float32), most=3)
    >>> classes.tolist(), shares.tolist() == [[np.float32(0.3), np.float32(0.3), np.float32(0.2)]]
    ([[1, 2, 3]], True)

    Raises:
        ValueError: there are fewer classes.
    """
    if probabilities.shape[1] < most:
        raise ValueError(f"{probabilities.shape[1]} classes are fewer than {most}")
    classes = np.empty((len(probabilities), most), np.int32)
    best = np.empty((len(probabilities), most), np.float32)
    _select(np.ascontiguousarray(probabilities), classes, best)
    return classes, best


def decided_classes(probabilities: Floats, table: RuleTable) -> npt.NDArray[np.int64]:
    """The class ``[n]`` that labels each node by a rule, as readers have it: of many classes it sees the best ones.

    Args:
        probabilities: of all classes ``[n, C]``, finite.
        table: the rule for these.
    """
    if not are_wide(probabilities.shape[1]):
        return decide(probabilities, table)
    return decide_among(*best_classes(probabilities), table)


@compiled
def _select(probabilities: Floats, classes: Classes, best: Floats) -> None:
    most = classes.shape[1]
    for row in range(probabilities.shape[0]):
        held = 0
        for number in range(probabilities.shape[1]):
            share = probabilities[row, number]
            if held == most and not share > best[row, most - 1]:
                continue
            at = held if held < most else most - 1
            while at > 0 and share > best[row, at - 1]:
                best[row, at], classes[row, at] = best[row, at - 1], classes[row, at - 1]
                at -= 1
            best[row, at], classes[row, at] = share, number
            held = min(held + 1, most)
