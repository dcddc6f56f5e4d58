"""Prequential scores of ranks: the mean reciprocal rank, and the share of the first places."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

PREDICTORS = ("popularity", "last_seen", "learned")
"""Rules by the number of edges into a candidate, by the time of the last one, and what is learned."""
HITS = (1, 3, 10)
_MEASURES = 1 + len(HITS)


@dataclass(frozen=True)
class RankScore:
    """Scores of ranks.

    Attributes:
        mrr: mean of ``1 / rank``.
        hits_1, hits_3, hits_10: shares of the ranks up to there.
    """

    mrr: float
    hits_1: float
    hits_3: float
    hits_10: float


class RankScores:
    """Scores of each predictor over all edges, and with forgetting.

    Args:
        memory: edges after which the weight of a recent score has fallen to 1/e.
    """

    def __init__(self, memory: float) -> None:
        self._kept = math.exp(-1 / memory)
        self.scored = 0
        self._sums: Doubles = np.zeros((2, len(PREDICTORS), _MEASURES))
        self._weight = 0.0

    def add(self, ranks: Doubles) -> None:
        """Count the ranks of n edges in order, ``[n, predictors]``."""
        measures = np.stack([1 / ranks, *(ranks <= most for most in HITS)], axis=2).astype(np.float64)
        self.scored += len(ranks)
        self._sums[0] += measures.sum(axis=0)
        weights = self._kept ** np.arange(len(ranks))[::-1]
        fading = self._kept ** len(ranks)
        self._sums[1] = fading * self._sums[1] + np.einsum("n,npm->pm", weights, measures)
        self._weight = fading * self._weight + float(weights.sum())

    def of(self, predictor: int, *, recent: bool = False) -> RankScore | None:
        """The scores of a predictor; None before the first edge."""
        if not self.scored:
            return None
        weight = self._weight if recent else self.scored
        return RankScore(*(self._sums[int(recent), predictor] / weight).tolist())

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays for a checkpoint."""
        return {"sums": self._sums.copy(), "counts": np.array([self.scored, self._weight])}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the :meth:`state`."""
        self._sums = state["sums"].astype(np.float64)
        self.scored, self._weight = int(state["counts"][0]), float(state["counts"][1])


def ranks_of_first(scores: npt.NDArray[Any]) -> Doubles:
    """Rank of the first candidate of each row of scores ``[n, 1 + S]``; ties count half.

    >>> ranks_of_first(np.array([[0.5, 0.9, 0.5, 0.1], [1.0, 0.0, 0.0, 0.0]])).tolist()
    [2.5, 1.0]
    """
    first, others = scores[:, :1], scores[:, 1:]
    ranks: Doubles = 1 + (others > first).sum(axis=1) + 0.5 * (others == first).sum(axis=1)
    return ranks
