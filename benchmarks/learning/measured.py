"""Lines of results, looked up by stream, method and seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from benchmarks.learning.run import NOT_STUDENTS
from benchmarks.learning.streams import STREAMS

Line = dict[str, Any]
Values = dict[int, float]
"""By seed."""


class Measured:
    """What was measured.

    Args:
        lines: of runs with the same settings.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = {(line["stream"], line["method"], line["seed"]): line for line in lines}

    @property
    def streams(self) -> list[str]:
        """Those that there are results of."""
        return list(dict.fromkeys(stream for stream, _, _ in self._lines))

    def scores(self, stream: str, method: str, predictor: str = "served") -> Values:
        """In points; empty where the method was not run."""
        metric = STREAMS[stream].score
        return self._each(stream, method, lambda line: 100 * line["predictors"][predictor].get(metric, math.nan))

    def after_phase(self, stream: str, method: str, phase: int) -> Values:
        """Accuracy in points at one point of the curve."""
        return self._each(stream, method, lambda line: 100 * (line["curve"][phase] or math.nan))

    def arrivals_until_back(self, stream: str, method: str, predictor: str) -> Values:
        """Arrivals until accuracy is back, a mean over the drifts."""
        return self._each(
            stream, method, lambda line: np.mean([drift["arrivals"] for drift in line["recovery"][predictor]])
        )

    def best_single(self, stream: str) -> tuple[str, str]:
        """Method and predictor of the single student that scores best in hindsight; empty where there is none.

        A student alone, where those were run; else one of the independent group, where each learns as if it were alone.
        """
        own = {(method, name) for of, method, _ in self._lines if of == stream for name in self._predictors(of, method)}
        alone = [(method, name) for method, name in own if method.startswith("alone-") and name == "served"]
        grouped = [(method, name) for method, name in own if method == "independent" and name not in NOT_STUDENTS]
        return max(
            sorted(alone or grouped),
            key=lambda single: np.mean(list(self.scores(stream, *single).values())),
            default=("", ""),
        )

    def _predictors(self, stream: str, method: str) -> list[str]:
        return next(
            list(line["predictors"]) for (of, by, _), line in self._lines.items() if (of, by) == (stream, method)
        )

    def _each(self, stream: str, method: str, value: Callable[[Line], Any]) -> Values:
        return {
            seed: float(value(line)) for (of, by, seed), line in self._lines.items() if (of, by) == (stream, method)
        }
