"""From class probabilities to a label: the likeliest class, unless thresholds or costs are declared.

One function decides, for readers and for scores alike. It needs neither torch nor the graph, so the API can use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from olad_core.events import ClassDecision

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class LabelRule:
    """What decides the label, by names of classes; classes that are not named have cost 1 and no threshold.

    Attributes:
        thresholds: a node is labelled with the class where its probability is at least this, and never below.
        costs: of missing a node of the class, where missing one of another class costs 1.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything but the likeliest class can be the label."""
        return bool(self.thresholds or self.costs)

    def table(self, classes: Sequence[str]) -> RuleTable:
        """The rule for classes in their order."""
        thresholds = np.array([self.thresholds.get(name, np.nan) for name in classes])
        return RuleTable(thresholds, np.array([self.costs.get(name, 1.0) for name in classes]))


@dataclass(frozen=True)
class RuleTable:
    """A rule for C classes in their order.

    Attributes:
        thresholds: float64 ``[C]``; NaN for a class without one.
        costs: float64 ``[C]``.
    """

    thresholds: npt.NDArray[np.float64]
    costs: npt.NDArray[np.float64]


def declared_rule(declared: Mapping[str, ClassDecision], of_shares: Mapping[str, float]) -> LabelRule:
    """The rule that the ``decisions`` of a schema are.

    Args:
        declared: by class.
        of_shares: the thresholds that shares of the nodes are now (:func:`share_threshold`), by class.

    >>> declared_rule({"fraud": ClassDecision(cost=20), "late": ClassDecision(top_share=0.01)}, {"late": 0.4})
    LabelRule(thresholds={'late': 0.4}, costs={'fraud': 20.0})
    """
    costs = {name: one.cost for name, one in declared.items() if one.cost is not None}
    thresholds = {name: one.threshold for name, one in declared.items() if one.threshold is not None}
    return LabelRule({**thresholds, **of_shares}, costs)


def share_threshold(probabilities: Floats, share: float) -> float:
    """The probability that so great a share of nodes reaches, at least one of them.

    Args:
        probabilities: of one class ``[n]``, of at least one node, finite.
        share: between 0 and 1.

    >>> share_threshold(np.array([0.1, 0.7, 0.3, 0.2]), 0.5)
    0.3
    """
    least = len(probabilities) - max(1, int(share * len(probabilities)))
    return float(np.partition(probabilities, least)[least])


def decide(probabilities: Floats, table: RuleTable) -> npt.NDArray[np.int64]:
    """The class that labels each node.

    Among the classes that reach their threshold, it is the one that exceeds it by the greatest factor. Where none does,
    it is the class without a threshold whose probability times its cost is greatest: the expected cost is then the
    least. Where every class has a threshold and none is reached, it is the nearest one. Ties go to the first class.

    Args:
        probabilities: ``[n, C]``, finite.
        table: the rule for these C classes.

    >>> table = LabelRule(thresholds={"fraud": 0.2}).table(["ok", "fraud"])
    >>> decide(np.array([[0.7, 0.3], [0.9, 0.1]]), table)
    array([1, 0])
    >>> decide(np.array([[0.7, 0.3], [0.9, 0.1]]), LabelRule(costs={"fraud": 5}).table(["ok", "fraud"]))
    array([1, 0])
    """
    has_threshold = np.isfinite(table.thresholds)
    factor = probabilities / np.where(has_threshold, np.maximum(table.thresholds, 1e-12), np.inf)
    if has_threshold.all():
        nearest: npt.NDArray[np.int64] = factor.argmax(axis=1)
        return nearest
    # Compared as they are stored: a threshold that is a node's own probability is reached by it.
    reached = has_threshold & (probabilities >= table.thresholds.astype(probabilities.dtype))
    flagged = np.where(reached, factor, -1.0).argmax(axis=1)
    others = np.where(has_threshold, -1.0, probabilities * table.costs).argmax(axis=1)
    labels: npt.NDArray[np.int64] = np.where(reached.any(axis=1), flagged, others)
    return labels


def decide_among(classes: npt.NDArray[np.integer], probabilities: Floats, table: RuleTable) -> npt.NDArray[np.int64]:
    """The class that labels each node, where some classes' probabilities are known and all others count as 0.

    >>> table = LabelRule(costs={"c": 9.0}).table(["a", "b", "c"])
    >>> decide_among(np.array([[0, 2], [1, 0]]), np.array([[0.8, 0.1], [0.5, 0.4]]), table)
    array([2, 1])

    Args:
        classes: which they are ``[n, k]``.
        probabilities: of these ``[n, k]``, finite.
        table: the rule for all C classes.
    """
    every = np.zeros((len(classes), len(table.costs)), probabilities.dtype)
    np.put_along_axis(every, classes.astype(np.int64), probabilities, axis=1)
    return decide(every, table)
