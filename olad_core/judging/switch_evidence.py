"""Whether labels show that something else scores better than what is served, however often that is asked.

See ``docs/decisions/0056-switches-need-evidence.md``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from olad_core.judging.metric_standing import State

Floats = npt.NDArray[np.float64]

BETS = np.array([0.125, 0.25, 0.5, 0.75])
"""Shares that are bet on each difference; evidence is the mean over them."""
RATE = 10_000
"""Scored nodes in which one switch to something that is not better is expected, at most, once the start has passed."""
AT_START, AT_FIRST = 500, 2_500
"""Scored nodes as which the start of a comparison counts. What was served first was chosen without labels."""
_MOST = 1e30
_LARGEST = np.finfo(np.float64).max


class SwitchEvidence:
    """Shiryaev-Roberts sums of the differences in score between K choices, on the same nodes.

    For each ordered pair the sum is ``M <- (M + 1) (1 + b d)``, with a bet ``b`` and the difference ``d`` in [-1, 1].
    While the one is not better than the other, the mean of ``d`` given the past is at most 0, so ``M - n`` is a
    supermartingale after n nodes: the probability that M reaches a threshold c by then is at most ``(M_0 + n) / c``.
    That holds for every n at once, whatever the choices and the stream do otherwise, and however often it is asked
    (Shin, Ramdas and Rinaldo, "E-detectors", 2024). What becomes better later is found as what always was: each node is
    a new beginning.

    With ``c = RATE (K - 1)`` any of the K - 1 others takes over by mistake with a probability of at most
    ``(AT_START + n) / RATE`` in the n scored nodes after a switch.

    Args:
        choices: K.
    """

    def __init__(self, choices: int) -> None:
        self._sums = np.full((BETS.size, choices, choices), float(AT_FIRST))
        # What is served, to which the sums belong; -1 before anything was.
        self._served = -1

    def serve(self, served: int | None) -> None:
        """Take in which choice is served; another one than before begins anew. None where it is none of them."""
        number = -1 if served is None else served
        if number == self._served:
            return
        self._sums[:] = AT_FIRST if self._served < 0 else AT_START
        self._served = number

    def add(self, scores: Floats) -> None:
        """Take in scores ``[n, K]`` of nodes, in the order of their labels, no two of a node more than 1 apart."""
        if not len(scores):
            return
        apart = np.clip(scores[:, :, None] - scores[:, None, :], -1, 1)
        gains = 1 + BETS[:, None, None] * apart[:, None]
        with np.errstate(over="ignore"):
            # Finite, since a sum may be 0.
            grown = np.minimum(gains[::-1].cumprod(axis=0), _LARGEST)
            further = self._sums * grown[-1] + grown.sum(axis=0)
        self._sums = np.minimum(further, _MOST)

    def ahead(self) -> npt.NDArray[np.bool_] | None:
        """Which choices are shown to be better than what is served ``[K]``; None while nothing is."""
        if self._served < 0:
            return None
        shown = self._sums.mean(axis=0)[:, self._served]
        better: npt.NDArray[np.bool_] = shown >= RATE * max(1, len(shown) - 1)
        return better

    def renew(self, choice: int) -> None:
        """A choice has new weights: it is worth no evidence, and is left for anything that is expected to be better."""
        self._sums[:, :, choice] = _MOST
        self._sums[:, choice, :] = 0

    def loosen(self) -> None:
        """Conditions have changed: what is served counts as one that was chosen without labels, at most."""
        self._sums = np.maximum(self._sums, AT_FIRST)

    def state(self) -> State:
        """Arrays for a checkpoint."""
        return {"sums": self._sums.copy(), "served": np.array([self._served])}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state` of as many choices; earlier releases had none."""
        if "sums" in state and state["sums"].shape == self._sums.shape:
            self._sums, self._served = state["sums"].astype(np.float64), int(state["served"][0])
