"""How far answers go from the shares of the classes to what the head gives, decided by the labels that come."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

LEVELS = (0.0, 0.5, 1.0)
"""Experts: the shares of the classes, half of the head's way from them in logarithms, and the head."""
_KEPT = 0.999
"""Part of the losses of before that counts after a label: conditions change."""
_LEAST = 1e-6
"""Probability that a class is taken to have at least, so that one label does not decide for good."""


class Guard:
    """The Bayesian mixture of the experts: each weighs by the probability that it gave to the labels so far.

    Where labels come one by one, and without forgetting, the log-loss of the mixture in all exceeds that of the best
    expert by ``log(len(LEVELS))`` at most, on every sequence (Vovk 1990). So the head cannot make answers much worse
    than the shares of the classes are.
    """

    def __init__(self) -> None:
        self._losses = np.zeros(len(LEVELS))

    @property
    def weights(self) -> Doubles:
        """Of the experts, which sum to 1."""
        grown = np.exp(self._losses.min() - self._losses)
        shares: Doubles = grown / grown.sum()
        return shares

    def mixed(self, shares: Floats, own: Floats) -> Floats:
        """The answers, float32 ``[n, C]``.

        Args:
            shares: of the classes ``[n, C]``.
            own: probabilities of the head ``[n, C]``.
        """
        mixture: Floats = np.einsum("e,enc->nc", self.weights, experts(shares, own)).astype(np.float32)
        return mixture

    def score(self, shares: Floats, own: Floats, label: int) -> None:
        """Take the losses of one edge whose label has come.

        Args:
            shares: of the classes ``[C]``, as they were when the edge arrived.
            own: probabilities of the head ``[C]``, likewise.
            label: class.
        """
        given = experts(shares[None], own[None])[:, 0, label]
        self._losses = _KEPT * self._losses - np.log(np.maximum(given, _LEAST))

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {"losses": self._losses.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the :meth:`state`; without one nothing has been scored."""
        if "losses" in state:
            self._losses = state["losses"].astype(np.float64)


def experts(shares: Floats, own: Floats) -> Doubles:
    """Probabilities of each expert ``[len(LEVELS), n, C]``.

    >>> experts(np.array([[0.9, 0.1]]), np.array([[0.1, 0.9]])).round(3).tolist()
    [[[0.9, 0.1]], [[0.5, 0.5]], [[0.1, 0.9]]]
    """
    base, found = (np.log(np.maximum(each.astype(np.float64), _LEAST)) for each in (shares, own))
    logits = base + np.array(LEVELS)[:, None, None] * (found - base)
    grown = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Doubles = grown / grown.sum(axis=-1, keepdims=True)
    return probabilities
