"""Standing on a metric that is not accuracy: how much better or worse than its group each student is.

As :mod:`olad_core.judging.standing`, each takes what is known without labels, which is how far a student differs from
its group now, together with what labels have shown. Where labels show little, the group is expected to be the better.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from olad_core.judging.fading import Fading
from olad_core.judging.standing import IMAGINED, LATELY
from olad_core.tasks import node_class

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Probabilities = npt.NDArray[np.float32]
State = dict[str, npt.NDArray[np.generic]]

SHARED = 20.0
"""Labels and predictions of a class, as a prior, for which a student has its group's F1."""
RANKED = 20.0
"""Nodes of the class, as a prior, for which a student ranks as its group would have it."""


class MetricStanding(Protocol):
    """What :class:`~olad_core.judging.standing.Standing` is for accuracy, for another metric."""

    def observe(self, probabilities: Probabilities) -> None:
        """Take in what students predict of nodes now, ``[n, G, C]``."""

    def compare(self, probabilities: Probabilities, labels: Rows) -> None:
        """Compare students with their group on nodes with labels ``[n]``, by predictions ``[n, G, C]`` at arrival."""

    def expected(self) -> Floats:
        """By how much each student's score is better than its group's ``[G]``; NaN before the first prediction."""

    def forget(self, count: int) -> None:
        """Let what labels have shown weigh as much as ``count`` nodes at most."""

    def state(self) -> State:
        """Arrays for a checkpoint."""

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""


class F1Gain:
    """By how much the macro-F1 of G students is higher than their group's, on nodes whose labels have come.

    Args:
        group: number of students G.
        memory: scored nodes after which the weight of one has fallen to 1/e.
    """

    def __init__(self, group: int, memory: float) -> None:
        self._fading = Fading(memory)
        # Hits, predictions and labels of each class, of the students and last of their group.
        self._counts = np.zeros((3, group + 1, 0))

    def compare(self, own: Rows, group: Rows, labels: Rows) -> None:
        """Take in nodes with classes ``[n]``, in the order of their labels.

        Args:
            own: classes that the students predict ``[n, G]``; negative without an answer.
            group: classes that the group predicts ``[n]``; negative for none that is known.
            labels: ``[n]``.
        """
        if not len(labels):
            return
        predicted = np.concatenate([own, group[:, None]], axis=1)
        counted = np.ones(predicted.shape, dtype=np.bool_)
        classes = max(int(predicted.max()), int(labels.max())) + 1
        classes = max(classes, self._counts.shape[2])
        more = node_class.count_classes(predicted, labels, self._fading.weights(counted), classes)
        kept = self._fading.kept(counted)[:, None]
        self._counts = node_class.with_classes(self._counts, classes) * kept + more

    def worths(self, own: Rows, labels: Rows) -> Floats:
        """What predictions of nodes ``[n, G]`` add to the macro-F1, as it is now, but for a common factor and term.

        A class c of F1 f and of s labels and predictions has ``f + (2 - f) / s`` with one more that is right, and
        ``f - f / s`` with one more that is wrong.

        Args:
            own: classes ``[n, G]``; negative without an answer.
            labels: ``[n]``.

        Returns:
            Numbers no two of which are more than 1 apart.
        """
        classes = max(int(own.max(initial=-1)), int(labels.max(initial=-1)), self._counts.shape[2] - 1) + 1
        counts = node_class.with_classes(self._counts, classes)
        f1, support = np.nan_to_num(node_class.class_f1(counts)[-1]), counts[1:, -1].sum(axis=0) + SHARED
        named = np.maximum(own, 0)
        right = (own == labels[:, None]).astype(np.float64)
        worth = np.where(own < 0, 0.0, (2 * right - f1[named]) / support[named])
        scaled: Floats = worth * support.min(initial=np.inf) / 3
        return scaled

    def gained(self) -> Floats:
        """Mean over classes of the student's F1 less the group's ``[G]``.

        The F1 of a rare class is of few nodes, so each class has a prior of :data:`SHARED` labels and predictions
        for which both are equal.
        """
        if not self._counts.shape[2]:
            return np.zeros(self._counts.shape[1] - 1)
        f1 = np.nan_to_num(node_class.class_f1(self._counts)[-1])
        hits, predictions, labels = self._counts[:, :-1]
        support = predictions + labels
        counted = support + self._counts[1, -1] >= node_class.LEAST_SUPPORT
        differences = np.where(counted, (2 * hits - f1 * support) / (support + SHARED), 0.0)
        gained: Floats = differences.sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
        return gained

    def forget(self, count: int) -> None:
        """Let what labels have shown weigh as much as ``count`` nodes at most."""
        self._counts *= self._fading.shortened(self._counts[2].sum(axis=1), count)[:, None]

    def state(self) -> State:
        """Arrays for a checkpoint."""
        return {"counts": self._counts.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`; earlier releases had none."""
        if "counts" in state:
            self._counts = state["counts"].astype(np.float64)


class LogLossStanding:
    """Expected log-loss of G students' group less their own.

    If the group's probabilities were right, a student's log-loss would be higher by the divergence of the two. Labels
    show how much of this divergence is really lost, or gained.

    Args:
        group: number of students G.
        memory: scored nodes after which the weight of one has fallen to 1/e.
    """

    def __init__(self, group: int, memory: float) -> None:
        self._lately, self._fading = Fading(LATELY), Fading(memory)
        # Faded sums over nodes: of 1 and of the divergence now.
        self._observed = np.zeros((2, group))
        # Of scored ones: of 1, of the divergence and of the log-loss above the group's.
        self._compared = np.zeros((3, group))

    def observe(self, probabilities: Probabilities) -> None:
        """Take in what students predict of nodes now, ``[n, G, C]``."""
        if probabilities.size:
            divergence = _divergence(probabilities)
            self._observed = _added(self._lately, self._observed, np.ones_like(divergence), divergence)

    def compare(self, probabilities: Probabilities, labels: Rows) -> None:
        """Compare students with their group on nodes with labels ``[n]``, by predictions ``[n, G, C]`` at arrival."""
        if not probabilities.size:
            return
        together = np.concatenate([probabilities, node_class.group_probabilities(probabilities)[:, None]], axis=1)
        found = node_class.score(together, labels)
        # A student without an answer gives the truth no probability.
        loss = np.where(found.answered, found.loss, -np.log(node_class.LEAST_PROBABILITY))
        divergence = _divergence(probabilities)
        above = loss[:, :-1] - loss[:, -1:]
        self._compared = _added(self._fading, self._compared, np.ones_like(divergence), divergence, above)

    def expected(self) -> Floats:
        """Log-loss of the group less each student's ``[G]``, in nats; NaN before the first prediction."""
        observed, divergence = self._observed
        now = np.divide(divergence, observed, out=np.full(observed.shape, np.nan), where=observed > 0)
        compared, apart, above = self._compared
        prior = IMAGINED * np.divide(apart, compared, out=np.nan_to_num(now), where=compared > 0)
        lost = np.divide(above + prior, apart + prior, out=np.ones_like(now), where=apart + prior > 0)
        expected: Floats = -now * lost
        return expected

    def forget(self, count: int) -> None:
        """Let what labels have shown weigh as much as ``count`` nodes at most."""
        self._compared *= self._fading.shortened(self._compared[0], count)

    def state(self) -> State:
        """Arrays for a checkpoint."""
        return {"observed": self._observed.copy(), "compared": self._compared.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`; earlier releases had none."""
        if "observed" in state:
            self._observed = state["observed"].astype(np.float64)
            self._compared = state["compared"].astype(np.float64)


class RankStanding:
    """Expected average precision of one class by G students less their group's.

    If the group's probabilities were right, they would also be the expected labels of the nodes of now: what another
    ranking of these nodes costs is known without labels.

    Args:
        group: number of students G.
        memory: scored nodes after which the weight of one has fallen to 1/e.
        number: of the class; None while it is unknown.
    """

    def __init__(self, group: int, memory: float, number: int | None = None) -> None:
        self.number = number
        self._lately, self._fading = Fading(LATELY), Fading(memory)
        # Histograms of the students and last of their group: nodes of the class, and all nodes.
        self._observed = np.zeros((2, group + 1, node_class.RANK_BINS))
        self._compared = np.zeros((2, group + 1, node_class.RANK_BINS))

    def observe(self, probabilities: Probabilities) -> None:
        """Take in what students predict of nodes now, ``[n, G, C]``."""
        shares = self._shares(probabilities)
        if shares is not None:
            self._observed = _added_ranks(self._lately, self._observed, shares, shares[:, -1])

    def compare(self, probabilities: Probabilities, labels: Rows) -> None:
        """Compare students with their group on nodes with labels ``[n]``, by predictions ``[n, G, C]`` at arrival."""
        shares = self._shares(probabilities)
        if shares is not None:
            self._compared = _added_ranks(self._fading, self._compared, shares, labels == self.number)

    def precisions(self, probabilities: Probabilities, labels: Rows) -> Floats:
        """Precision of each student among nodes that it ranks as high ``[n, G]``, 0 for a node of another class.

        Its mean over the nodes of the class is the average precision.
        """
        shares = self._shares(probabilities)
        if shares is None:
            return np.zeros(probabilities.shape[:2])
        own = shares[:, :-1]
        found, taken = self._compared[:, :-1, ::-1].cumsum(axis=2)[:, :, ::-1]
        precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
        ranked: Floats = precision[np.arange(own.shape[1]), node_class.rank_bins(own)]
        return np.where((labels == self.number)[:, None], ranked, 0.0)

    def expected(self) -> Floats:
        """Average precision of each student less its group's ``[G]``; NaN before the first prediction."""
        now, shown = node_class.average_precision(self._observed), node_class.average_precision(self._compared)
        of_class = float(self._compared[0, -1].sum())
        without_labels, with_labels = now[:-1] - now[-1], np.nan_to_num(shown[:-1] - shown[-1])
        expected: Floats = (of_class * with_labels + RANKED * without_labels) / (of_class + RANKED)
        return expected

    def forget(self, count: int) -> None:
        """Let what labels have shown weigh as much as ``count`` nodes at most."""
        self._compared *= self._fading.shortened(self._compared[1].sum(axis=1), count)[:, None]

    def state(self) -> State:
        """Arrays for a checkpoint."""
        return {"observed": self._observed.copy(), "compared": self._compared.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`; earlier releases had none."""
        if "observed" in state:
            self._observed = state["observed"].astype(np.float64)
            self._compared = state["compared"].astype(np.float64)

    def _shares(self, probabilities: Probabilities) -> Floats | None:
        """Probability of the class by students and group ``[n, G + 1]``; None where nothing is known of it."""
        if not probabilities.size or self.number is None or self.number >= probabilities.shape[2]:
            return None
        group = node_class.group_probabilities(probabilities)[:, None]
        together = np.concatenate([probabilities, group], axis=1)[:, :, self.number]
        return np.nan_to_num(together.astype(np.float64))


def _divergence(probabilities: Probabilities) -> Floats:
    """Kullback-Leibler divergence of each student from its group ``[n, G]``; of one without an answer it is great."""
    group = node_class.group_probabilities(probabilities)[:, None].astype(np.float64)
    own = np.maximum(np.nan_to_num(probabilities), node_class.LEAST_PROBABILITY)
    logarithms = np.log(np.maximum(group, node_class.LEAST_PROBABILITY)) - np.log(own)
    divergence: Floats = np.maximum((group * logarithms).sum(axis=2), 0.0)
    return divergence


def _added(fading: Fading, sums: Floats, *terms: Floats) -> Floats:
    """Faded sums ``[k, G]`` after further terms ``[n, G]``, k of them."""
    every = np.ones(terms[0].shape, dtype=np.bool_)
    weight = fading.weights(every)
    more: Floats = np.stack([(weight * term).sum(axis=0) for term in terms])
    return sums * fading.kept(every) + more


def _added_ranks(fading: Fading, ranks: Floats, shares: Floats, of_class: npt.NDArray[np.generic]) -> Floats:
    """Faded histograms ``[2, P, bins]`` after nodes with these probabilities ``[n, P]`` of the class.

    Args:
        fading: weighs them.
        ranks: before them.
        shares: of the class.
        of_class: how much each node is of the class ``[n]``, from 0 to 1.
    """
    every = np.ones(shares.shape, dtype=np.bool_)
    weight = fading.weights(every)
    more = node_class.count_one_class(shares, of_class.astype(np.float64), weight)
    return ranks * fading.kept(every)[:, None] + more
