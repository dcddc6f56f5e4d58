"""Whether a student of a new group is better than the version of a former group, which is served until then."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from olad_core.config import ARRIVAL_CLASSES
from olad_core.judging.class_columns import ClassColumns
from olad_core.judging.fading import Fading
from olad_core.judging.metric import ACCURACY, Metric
from olad_core.judging.metric_standing import RANKED, F1Gain, State
from olad_core.judging.standings import tempered_shares
from olad_core.named_state import join_parts, take_part
from olad_core.tasks import node_class

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Probabilities = npt.NDArray[np.float32]

EQUAL = 50.0
"""Scored nodes on which both were equally good, as a prior."""
FEWEST = 30.0
"""Scored nodes without which nothing is known."""
_NO_CLASS = -1


class Succession:
    """By how much G students are better at arrival than the version that is served, on the same nodes.

    The better one serves, so no more evidence is needed in favour of a student than against it: to keep a version that
    is worse costs as much as to leave one that is better. A prior makes up for few labels.

    Args:
        students: number of students G.
        memory: scored nodes after which the weight of one has fallen to 1/e.
    """

    def __init__(self, students: int, memory: float) -> None:
        self._fading = Fading(memory)
        # Faded sums over nodes: of 1, and of the difference.
        self._right = np.zeros((2, students))
        self._loss = np.zeros((2, students))
        self._f1 = F1Gain(students, memory)
        # Histograms of the students and last of what is served: nodes of one class, and all nodes.
        self._ranks = np.zeros((2, students + 1, node_class.RANK_BINS))
        self._class = _NO_CLASS

    def compare(
        self,
        students: Probabilities,
        served: Probabilities,
        labels: Rows,
        temperatures: Floats,
        columns: ClassColumns | None = None,
        ranked: int | None = None,
    ) -> None:
        """Compare predictions at arrival of nodes whose labels have come.

        Args:
            students: ``[n, G, C]``.
            served: ``[n, C]``.
            labels: classes ``[n]``.
            temperatures: ``[G]``, what to divide the students' logits by.
            columns: the classes of the columns; None where each class is the column of its number.
            ranked: the class that an average precision is wanted of.
        """
        if not students.size:
            return
        together = np.concatenate([students, served[:, None]], axis=1)
        places = columns.places(labels) if columns else labels
        predicted = node_class.predicted_classes(together)
        right = (predicted == places[:, None]).astype(np.float64)
        self._right = self._added(self._right, right[:, :-1] - right[:, -1:])
        found = node_class.score(tempered_shares(together, np.append(temperatures, 1.0), columns), places)
        loss = np.where(found.answered, found.loss, -np.log(node_class.LEAST_PROBABILITY))
        self._loss = self._added(self._loss, loss[:, -1:] - loss[:, :-1])
        if columns:
            named = columns.named(predicted)
            predicted = np.where(predicted < ARRIVAL_CLASSES, named, node_class.NO_CLASS)
        self._f1.compare(predicted[:, :-1], predicted[:, -1], labels)
        if ranked is not None:
            self._rank(columns.spread(together, ranked + 1) if columns else together, labels, ranked)

    def gain(self, metric: Metric = ACCURACY) -> Floats:
        """By how much each student is better than what is served on the metric ``[G]``; NaN while too little is known.

        >>> succession = Succession(students=1, memory=500)
        >>> succession.gain().tolist()
        [nan]
        """
        known = self._right[0] >= FEWEST
        return np.where(known, self._gained(metric), np.nan)

    def forget(self, count: int) -> None:
        """Let what labels have shown weigh as much as ``count`` nodes at most, so that those to come count for more."""
        self._right *= self._fading.shortened(self._right[0], count)
        self._loss *= self._fading.shortened(self._loss[0], count)
        self._f1.forget(count)
        self._ranks *= self._fading.shortened(self._ranks[1].sum(axis=1), count)[:, None]

    def state(self) -> State:
        """Arrays for a checkpoint."""
        own = {"right": self._right.copy(), "loss": self._loss.copy(), "ranks": self._ranks.copy()}
        return {**own, "class": np.array([self._class]), **join_parts({"f1": self._f1.state()})}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._right, self._loss, self._ranks = (state[name].astype(np.float64) for name in ("right", "loss", "ranks"))
        self._class = int(state["class"][0])
        self._f1.restore(take_part(state, "f1"))

    def _gained(self, metric: Metric) -> Floats:
        if metric.kind == "macro_f1":
            return self._f1.gained()
        if metric.kind == "average_precision":
            of_class = float(self._ranks[0, -1].sum())
            shown = np.nan_to_num(node_class.average_precision(self._ranks))
            ranked: Floats = (shown[:-1] - shown[-1]) * of_class / (of_class + RANKED)
            return ranked
        compared, difference = self._loss if metric.kind == "log_loss" else self._right
        gained: Floats = difference / (compared + EQUAL)
        return gained

    def _added(self, sums: Floats, difference: Floats) -> Floats:
        every = np.ones(difference.shape, dtype=np.bool_)
        weight = self._fading.weights(every)
        more = np.stack([weight.sum(axis=0), (weight * difference).sum(axis=0)])
        added: Floats = sums * self._fading.kept(every) + more
        return added

    def _rank(self, together: Probabilities, labels: Rows, ranked: int) -> None:
        if ranked != self._class:
            self._class, self._ranks = ranked, np.zeros_like(self._ranks)
        if ranked >= together.shape[2]:
            return
        shares = np.nan_to_num(together[:, :, ranked].astype(np.float64))
        every = np.ones(shares.shape, dtype=np.bool_)
        of_class = (labels == ranked).astype(np.float64)
        more = node_class.count_one_class(shares, of_class, self._fading.weights(every))
        self._ranks = self._ranks * self._fading.kept(every)[:, None] + more
