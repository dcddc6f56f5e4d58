"""Means with what they are worth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats


def mean(values: Sequence[float], digits: int) -> str:
    """A mean; empty where there is nothing."""
    return f"{np.mean(values):.{digits}f}" if len(values) else ""


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation.

    >>> spread([80.0, 81.0, 82.0])
    '81.00 ± 1.00'
    """
    if len(values) < 2:
        return mean(values, 2)
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def half_width(values: Sequence[float]) -> float:
    """Half of the 95 % confidence interval of a mean, by Student's t; infinite for a single value."""
    if len(values) < 2:
        return math.inf
    return float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))


def interval(differences: Sequence[float]) -> str:
    """Mean of paired differences with its 95 % interval.

    >>> interval([0.5, 1.0, 1.5])
    '+1.00 [-0.24, +2.24]'
    """
    if not differences:
        return ""
    middle, half = float(np.mean(differences)), half_width(differences)
    return f"{middle:+.2f}" + ("" if math.isinf(half) else f" [{middle - half:+.2f}, {middle + half:+.2f}]")
