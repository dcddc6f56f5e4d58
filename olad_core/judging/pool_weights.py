"""How the members' predictions become one: a log-linear pool, their mean and the best of them, in fixed shares.

A log-linear pool has the probabilities ``p`` proportional to the product of ``p_j^w_j`` over members j (Genest and
Zidek, "Combining Probability Distributions", 1986). The exponents w may be negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Probabilities = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

FLOOR = 1e-3
"""Added to the probabilities of each member, shared by all classes: none can exclude a class."""
EXPERTS = (0.49, 0.49, 0.02)
"""Shares of the pool, the mean and the best member before the first label."""
NOBODY = -1
"""No member is the best one yet."""


@dataclass(frozen=True)
class PoolWeights:
    """How the probabilities of G members become one prediction.

    Attributes:
        exponents: w of the pool ``[G]``.
        best: the member that stands for itself; :data:`NOBODY` before the first fit, and the mean stands there.
        shares: ``[3]`` of the pool, of the members' mean and of the best member in the result.
    """

    exponents: Floats
    best: int
    shares: Floats

    @classmethod
    def of_equals(cls, members: int) -> PoolWeights:
        """Those of members of which nothing is known."""
        return cls(np.full(members, 1 / members), NOBODY, np.array(EXPERTS))

    def experts(self, probabilities: Probabilities, counts: Floats | None = None) -> Floats:
        """What pool, mean and best member predict: ``[n, 3, C]``, NaN where no member has an answer.

        A member without an answer of a node counts there as the geometric mean of the others.

        Args:
            probabilities: of the members ``[n, G, C]``.
            counts: how many classes of that probability each column stands for ``[n, C]``; None for one each.
        """
        nodes, _, columns = probabilities.shape
        if not probabilities.size:
            return np.full((nodes, len(EXPERTS), columns), np.nan)
        counts = np.ones((nodes, columns)) if counts is None else counts
        answered = answered_of(probabilities)
        some_answer = np.asarray(answered.any(axis=1))
        clean = np.where(answered[:, :, None], probabilities, 0.0).astype(np.float64)
        mean = clean.sum(axis=1) / np.maximum(answered.sum(axis=1), 1)[:, None]
        best = mean
        if self.best != NOBODY:
            best = np.where(answered[:, self.best, None], clean[:, self.best], mean)
        scores = np.einsum("ngc,g->nc", pooled_logs(probabilities, counts), self.exponents)
        result = np.stack([shares_of(scores, counts), mean, best], axis=1)
        return np.where(some_answer[:, None, None], result, np.nan)

    def combine(self, probabilities: Probabilities, counts: Floats | None = None) -> Probabilities:
        """The group's prediction ``[n, C]``; arguments as for :meth:`experts`."""
        combined: Floats = np.einsum("nkc,k->nc", self.experts(probabilities, counts), self.shares)
        return combined.astype(np.float32)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {"exponents": self.exponents.copy(), "best": np.array([self.best]), "shares": self.shares.copy()}

    @classmethod
    def restored(cls, state: Mapping[str, npt.NDArray[np.generic]]) -> PoolWeights:
        """The weights whose :meth:`state` this was."""
        exponents, shares = state["exponents"].astype(np.float64), state["shares"].astype(np.float64)
        return cls(exponents, int(state["best"][0]), shares)


def pooled_logs(probabilities: Probabilities, counts: Floats) -> Floats:
    """Logarithms ``[n, G, C]`` of the members' probabilities, which are raised by the floor.

    A member without an answer has the mean of the others' logarithms; zeros where none has one.

    Args:
        probabilities: ``[n, G, C]``.
        counts: classes of each column ``[n, C]``.
    """
    answered = answered_of(probabilities)[:, :, None]
    floor = FLOOR / np.maximum(counts.sum(axis=1), 1)[:, None, None]
    logs = np.log(np.where(answered, probabilities, 1.0).astype(np.float64) + floor) * answered
    mean = logs.sum(axis=1, keepdims=True) / np.maximum(answered.sum(axis=1, keepdims=True), 1)
    result: Floats = np.where(answered, logs, mean)
    return result


def shares_of(scores: Floats, counts: Floats) -> Floats:
    """Probabilities ``[n, C]`` of one class of each column, in proportion to the exponential of scores ``[n, C]``."""
    powers: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = powers / (counts * powers).sum(axis=1, keepdims=True)
    return shares


def filled(probabilities: Probabilities) -> Floats:
    """A prediction without an answer is that of the mean of the others."""
    answered = answered_of(probabilities)[:, :, None]
    clean = np.where(answered, probabilities, 0.0).astype(np.float64)
    mean: Floats = clean.sum(axis=1, keepdims=True) / np.maximum(answered.sum(axis=1, keepdims=True), 1)
    filled: Floats = np.where(answered, clean, mean)
    return filled


def answered_of(probabilities: Probabilities) -> Flags:
    """Which members have an answer of each node ``[n, G]``."""
    answered: Flags = np.asarray(np.isfinite(probabilities).all(axis=2))
    return answered
