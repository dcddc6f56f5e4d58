"""Prequential scores of predicted numbers: errors, and how many values lie in the interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.judging.fading import Fading

Doubles = npt.NDArray[np.float64]

_SUMS = 5
"""Sums over scored values: of 1, of absolute and squared errors, of values in the interval, of its width."""


@dataclass(frozen=True)
class ValueTable:
    """Scores of a predictor, over all values or with forgetting; None before the first one.

    Attributes:
        mae: mean absolute error.
        rmse: root of the mean squared error.
        r2: share of the values' variance that is explained, 1 at most; None where all values are equal too.
        coverage: share of the values in the interval.
        width: mean width of the interval.
    """

    mae: float | None = None
    rmse: float | None = None
    r2: float | None = None
    coverage: float | None = None
    width: float | None = None


@dataclass(frozen=True)
class ValueReport:
    """How a task that predicts values stands.

    Attributes:
        name: of the task.
        coverage: share of the values that shall lie in the interval.
        arrived: edges or nodes that have arrived.
        waiting: of these, that are remembered and have no value.
        labels: edges or nodes whose value has come.
        steps: of the head.
        scored: predictions that were scored.
        scores, recent: of what was answered.
        base, base_recent: of a simple prediction, whose interval has no width.
    """

    name: str
    coverage: float
    arrived: int
    waiting: int
    labels: int
    steps: int
    scored: int
    scores: ValueTable
    recent: ValueTable
    base: ValueTable
    base_recent: ValueTable


class ValueScores:
    """Scores of one predictor with an interval, over all values and with forgetting.

    Args:
        memory: values after which a score's weight has fallen to 1/e.
    """

    def __init__(self, memory: float) -> None:
        self._fading = Fading(memory)
        self.scored = 0
        # Over all values, then with forgetting. Beside the sums, the mean of the values and the sum of the squares of
        # their distances from it (Welford 1962).
        self._sums = np.zeros((2, _SUMS))
        self._spread = np.zeros((2, 2))

    def add(self, predicted: Doubles, intervals: Doubles, values: Doubles) -> None:
        """Score predictions in the order in which their values came.

        Args:
            predicted: ``[n]``.
            intervals: low and high ``[n, 2]``.
            values: true ones ``[n]``.
        """
        error = predicted - values
        inside = (intervals[:, 0] <= values) & (values <= intervals[:, 1])
        terms = [np.ones(len(values)), np.abs(error), error**2, inside, intervals[:, 1] - intervals[:, 0]]
        every = np.ones((len(values), 1), np.bool_)
        weight, kept = self._fading.weights(every)[:, 0], float(self._fading.kept(every)[0])
        for place, (weights, share) in enumerate(((np.ones(len(values)), 1.0), (weight, kept))):
            before = share * self._sums[place, 0]
            self._spread[place] = _with_values(self._spread[place] * (1.0, share), before, weights, values)
            self._sums[place] = share * self._sums[place] + [float(weights @ each) for each in terms]
        self.scored += len(values)

    def table(self) -> ValueTable:
        """Over all values."""
        return _table(self._sums[0], self._spread[0])

    def recent(self) -> ValueTable:
        """With forgetting."""
        return _table(self._sums[1], self._spread[1])

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {"scored": np.array(self.scored), "sums": self._sums.copy(), "spread": self._spread.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the :meth:`state`."""
        self.scored = int(state["scored"])
        self._sums, self._spread = state["sums"].astype(np.float64), state["spread"].astype(np.float64)


def _with_values(spread: Doubles, before: float, weights: Doubles, values: Doubles) -> Doubles:
    """Mean and sum of squared distances after more values, whose weight before was ``before``."""
    more = float(weights.sum())
    mean = float(weights @ values) / more
    squares = float(weights @ (values - mean) ** 2)
    together = before + more
    apart = mean - spread[0]
    return np.array([spread[0] + apart * more / together, spread[1] + squares + apart**2 * before * more / together])


def _table(sums: Doubles, spread: Doubles) -> ValueTable:
    weight, absolute, squared, inside, width = sums.tolist()
    if not weight:
        return ValueTable()
    variance = float(spread[1])
    return ValueTable(
        absolute / weight,
        (squared / weight) ** 0.5,
        1 - squared / variance if variance > 0 else None,
        inside / weight,
        width / weight,
    )
