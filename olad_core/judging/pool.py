"""Learns from labels how the members' predictions become one: a log-linear pool, guarded by mean and best member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.judging.hedge import LEARNING_RATE, Hedge, brier_scores
from olad_core.judging.pool_weights import EXPERTS, PoolWeights, answered_of, filled, pooled_logs, shares_of
from olad_core.named_state import join_parts, take_part

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Probabilities = npt.NDArray[np.float32]

MEMORY = 1_000.0
"""Labels after which the weight of one has fallen to 1/e."""
PRIOR, FEW = 10.0, 200.0
"""Precision of the exponents' prior while labels are many; it is twice that where so many labels are known."""
ITERATIONS, HALVINGS = 3, 6
"""Newton steps of a fit, and how often a step is halved until it improves the fit."""
ENOUGH = 1e-4
"""A step improves the fit enough where it gains this part of what its slope promises."""
MOST_NODES, MOST_CELLS = 2_000, 2**18
"""Labelled nodes that are remembered at most, and probabilities of theirs."""


class Pool:
    """Learns the weights of G members from labelled nodes, with what each member predicted at their arrival.

    The exponents have the least log-loss on the nodes remembered, older ones counting less, plus ``l/2 |w - c|^2``.
    The centre ``c`` has the shares that Hedge gives the members by their Brier scores on these nodes, from equal ones:
    a member that is far ahead has most of the weight before labels can tell how others complete it. So without labels
    the pool is the geometric mean. The precision ``l`` falls as labels come. There is no constant
    for each class: under late labels it would follow the class shares of long ago. A fit is convex, and each Newton
    step is shortened until it improves it.

    The guard is :class:`~olad_core.judging.hedge.Hedge` over the pool, the mean and the best member. Each label scores
    them with the weights as they were before it. So on every sequence of labels that come one by one, the discounted
    Brier score of the group is at most 2.9 above that of its pool and of its mean, and at most 15.7 above that of the
    best member.

    Args:
        members: number of members G.
        memory: labels after which the weight of one has fallen to 1/e.
    """

    def __init__(self, members: int, memory: float = MEMORY) -> None:
        self._keep = float(np.exp(-1 / memory))
        self._hedge = Hedge(EXPERTS, memory)
        self._weights = PoolWeights.of_equals(members)
        # The last labelled nodes, oldest first: weight, column of the label, probabilities, and classes of a column.
        self._weight = np.zeros(0)
        self._labels = np.zeros(0, np.int64)
        self._probabilities = np.zeros((0, members, 0), np.float32)
        self._counts = np.zeros((0, 0), np.float32)

    def weights(self) -> PoolWeights:
        """As they are now."""
        return PoolWeights(self._weights.exponents, self._weights.best, self._hedge.shares())

    def add(self, probabilities: Probabilities, labels: Rows, counts: Floats | None = None) -> None:
        """Score the experts on nodes in the order of their labels, and remember the nodes for :meth:`fit`.

        Nothing is learned where no member has an answer, or gave the label's class any probability.

        Args:
            probabilities: of the members at arrival ``[n, G, C]``; NaN without an answer.
            labels: columns ``[n]`` of the classes; C and more where the class was unknown.
            counts: how many classes of that probability each column stands for ``[n, C]``; None for one each.
        """
        nodes, members, columns = probabilities.shape
        counts = np.ones((nodes, columns)) if counts is None else counts
        place = np.minimum(labels, columns - 1)[:, None, None]
        of_label = np.take_along_axis(probabilities, place, axis=2)[:, :, 0] if columns else np.zeros((nodes, members))
        usable = (labels < columns) & np.asarray((answered_of(probabilities) & (of_label > 0)).any(axis=1))
        if not usable.any():
            return
        probabilities, labels, counts = probabilities[usable], labels[usable], counts[usable]
        self._hedge.add(_brier(self._weights.experts(probabilities, counts), labels, counts))
        self._remember(probabilities, labels, counts)

    def fit(self) -> None:
        """Fit the exponents to the nodes remembered, and find the best member on them."""
        if not len(self._labels):
            return
        counts = self._counts.astype(np.float64)
        brier = (self._weight[:, None] * _brier(filled(self._probabilities), self._labels, counts)).sum(axis=0)
        centre = np.exp(-LEARNING_RATE * (brier - brier.min()))
        logs = pooled_logs(self._probabilities, counts)
        fit = _Fit(logs, self._labels, self._weight, counts, centre / centre.sum())
        self._weights = PoolWeights(fit.improved(self._weights.exponents), int(brier.argmin()), self._weights.shares)

    def renew(self, member: int) -> None:
        """Forget the predictions of a member that has begun anew: it counts as one without an answer."""
        self._probabilities[:, member] = np.nan

    def forget(self, count: int) -> None:
        """Let what was learned weigh as much as ``count`` nodes at most, so that those to come count for more."""
        most = (1 - self._keep**count) / (1 - self._keep)
        share = most / max(self._weight.sum(), most)
        self._weight *= share
        self._hedge.forget(share)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {
            "weight": self._weight.copy(),
            "labels": self._labels.copy(),
            "probabilities": self._probabilities.copy(),
            "counts": self._counts.copy(),
            **join_parts({"hedge": self._hedge.state(), "weights": self._weights.state()}),
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._weight = state["weight"].astype(np.float64)
        self._labels = state["labels"].astype(np.int64)
        self._probabilities = state["probabilities"].astype(np.float32)
        self._counts = state["counts"].astype(np.float32)
        self._hedge.restore(take_part(state, "hedge"))
        self._weights = PoolWeights.restored(take_part(state, "weights"))

    def _remember(self, probabilities: Probabilities, labels: Rows, counts: Floats) -> None:
        nodes, members, columns = probabilities.shape
        columns = max(columns, self._counts.shape[1])
        most = min(MOST_NODES, max(1, MOST_CELLS // (members * columns)))
        ages = self._keep ** np.arange(nodes)[::-1]
        self._weight = np.concatenate([self._weight * self._keep**nodes, ages])[-most:]
        self._labels = np.concatenate([self._labels, labels])[-most:]
        # A class that was unknown has no column at that time: none of its classes count.
        parts = [_widened(part, columns) for part in (self._probabilities, probabilities)]
        self._probabilities = np.concatenate(parts)[-most:]
        counted = [_widened(part.astype(np.float32), columns) for part in (self._counts, counts)]
        self._counts = np.concatenate(counted)[-most:]


@dataclass(frozen=True)
class _Fit:
    """The exponents' log-loss with their prior, on n nodes.

    Attributes:
        logs: of the members' probabilities ``[n, G, C]``.
        labels: columns ``[n]``.
        weight: of each node ``[n]``.
        counts: classes of each column ``[n, C]``.
        centre: of the prior ``[G]``.
    """

    logs: Floats
    labels: Rows
    weight: Floats
    counts: Floats
    centre: Floats

    @property
    def precision(self) -> float:
        """Of the prior."""
        return PRIOR * float(1 + FEW / self.weight.sum())

    def loss(self, exponents: Floats) -> float:
        """What is least for the best exponents."""
        scores = np.einsum("ngc,g->nc", self.logs, exponents)
        peak = scores.max(axis=1)
        whole = peak + np.log((self.counts * np.exp(scores - peak[:, None])).sum(axis=1))
        log_loss = whole - np.take_along_axis(scores, self.labels[:, None], axis=1)[:, 0]
        apart = exponents - self.centre
        return float((self.weight * log_loss).sum() + self.precision / 2 * (apart @ apart))

    def slopes(self, exponents: Floats) -> tuple[Floats, Floats]:
        """First and second derivatives of the loss: ``[G]`` and ``[G, G]``."""
        scores = np.einsum("ngc,g->nc", self.logs, exponents)
        shares = self.counts * shares_of(scores, self.counts)
        mean = np.einsum("ngc,nc->ng", self.logs, shares)
        of_label = np.take_along_axis(self.logs, self.labels[:, None, None], axis=2)[:, :, 0]
        slope = (self.weight[:, None] * (mean - of_label)).sum(axis=0)
        apart = (self.logs - mean[:, :, None]) * np.sqrt(self.weight[:, None] * shares)[:, None, :]
        flat = apart.transpose(1, 0, 2).reshape(len(exponents), -1)
        curvature = flat @ flat.T + self.precision * np.eye(len(exponents))
        return slope + self.precision * (exponents - self.centre), curvature

    def improved(self, exponents: Floats) -> Floats:
        """The exponents after some Newton steps, none of which makes the loss greater."""
        before = self.loss(exponents)
        for _ in range(ITERATIONS):
            slope, curvature = self.slopes(exponents)
            step = np.linalg.solve(curvature, slope)
            for halving in range(HALVINGS):
                size = 0.5**halving
                after = self.loss(exponents - size * step)
                if after <= before - ENOUGH * size * float(slope @ step):
                    exponents, before = exponents - size * step, after
                    break
            else:
                break
        return exponents


def _brier(probabilities: Floats, labels: Rows, counts: Floats) -> Floats:
    """Brier scores ``[n, K]`` of K predictions ``[n, K, C]``."""
    parts = [brier_scores(probabilities[:, place], labels, counts) for place in range(probabilities.shape[1])]
    return np.stack(parts, axis=1)


def _widened(array: npt.NDArray[np.float32], columns: int) -> npt.NDArray[np.float32]:
    """Zeros behind the last column."""
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, columns - array.shape[-1])])
