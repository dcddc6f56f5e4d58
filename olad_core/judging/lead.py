"""The lead figure: the score on the metric that decides, beside what one would score who had learned nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.judging.balance import FORGOTTEN
from olad_core.judging.metric import Metric

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LeadFigure:
    """The score of one predictor on the metric that decides.

    Attributes:
        metric: which one, as it is declared: ``macro_f1``, ``average_precision:fraud``.
        declared: whether the user declared it; else it follows from how even the classes are.
        lower_is_better: whether a smaller value is the better one.
        value: over all scored nodes; None where there is none.
        recent: with forgetting.
        baseline: what ``baseline_of`` would score on the same nodes; None before the first.
        baseline_recent: with forgetting.
        baseline_of: who had learned nothing but the shares of the classes, in words; empty before the first node.
    """

    metric: str
    declared: bool
    lower_is_better: bool
    value: float | None
    recent: float | None
    baseline: float | None
    baseline_recent: float | None
    baseline_of: str


def baseline(metric: Metric, support: Floats, number: int | None) -> float | None:
    """What a predictor scores that knows the shares of the classes alone; None without scored nodes.

    For accuracy and macro-F1 it always names the commonest class, for log-loss it predicts the shares as they are, and
    for an average precision it ranks in any order.

    Args:
        metric: which score.
        support: scored nodes of each class ``[C]``.
        number: of the class that the metric is about; None where it is about all, or the class is unknown.

    >>> from olad_core.judging.metric import parse_metric
    >>> support = np.array([920.0, 80.0])
    >>> names = "accuracy", "macro_f1", "log_loss", "average_precision:fraud"
    >>> [round(baseline(parse_metric(name), support, 1) or 0, 3) for name in names]
    [0.92, 0.479, 0.279, 0.08]
    """
    present = support[support >= FORGOTTEN]
    if not len(present):
        return None
    shares = present / present.sum()
    if metric.kind == "accuracy":
        return float(shares.max())
    if metric.kind == "macro_f1":
        return float(2 * shares.max() / (1 + shares.max()) / len(present))
    if metric.kind == "log_loss":
        return float(-(shares * np.log(shares)).sum())
    return float(support[number] / present.sum()) if number is not None and number < len(support) else None


def baseline_name(metric: Metric, commonest: str | None) -> str:
    """Who scores :func:`baseline`, in words; empty before the first scored node."""
    if commonest is None:
        return ""
    if metric.kind in {"accuracy", "macro_f1"}:
        return f"always {commonest!r}"
    return "the shares of the classes" if metric.kind == "log_loss" else "any order"
