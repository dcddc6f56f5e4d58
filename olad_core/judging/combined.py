"""The combined prediction of the group, judged as one more candidate to be served beside the students."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from olad_core.judging.class_columns import ClassColumns
from olad_core.judging.class_report import LISTED_CLASSES, ClassReport
from olad_core.judging.lead import LeadFigure
from olad_core.judging.metric import Metric
from olad_core.judging.pool import Pool
from olad_core.judging.pool_weights import PoolWeights
from olad_core.judging.prequential import Scores, ScoreTable
from olad_core.judging.standings import Standings
from olad_core.named_state import join_parts, take_part

Rows = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float32]


class Combined:
    """Learns how to combine the predictions of G students, and of trees beside them, and scores what comes of it.

    A node is scored when its label comes, by what the members predicted at its arrival, with the weights as they are
    just before the label.

    Args:
        students: number of students G.
        trees: whether there is one more member, after the students.
        memory: scored nodes after which the weight of a score has fallen to 1/e.
        declared: the metric that the user cares about; None where nothing is declared.
    """

    def __init__(self, students: int, memory: float, declared: Metric | None, *, trees: bool = False) -> None:
        self.standings = Standings(students + 1, memory, declared)
        """Of the students, and last of what is combined: each less the mean of them all."""
        self.trees = trees
        self._pool = Pool(students + trees)
        # Of what is combined, and of the trees.
        self._scores = Scores(1 + trees, memory)

    def weights(self) -> PoolWeights:
        """Those of the members, as they are now."""
        return self._pool.weights()

    def beside(
        self, students: Probabilities, trees: Probabilities | None, columns: ClassColumns | None = None
    ) -> Probabilities:
        """The predictions of the students ``[n, G, C]``, and behind them the combined one: ``[n, G + 1, C]``.

        Args:
            students: ``[n, G, C]``.
            trees: what the trees predict ``[n, C]``, or of fewer classes; None or NaN where they have no answer.
            columns: the classes of the columns; None where each class is the column of its number.
        """
        members = self._members(students, trees)
        combined = self.weights().combine(members, columns.counts if columns else None)
        return np.concatenate([students, combined[:, None]], axis=1)

    def score(
        self, students: Probabilities, trees: Probabilities | None, labels: Rows, columns: ClassColumns | None
    ) -> Probabilities:
        """Score what is combined of the members' predictions, then learn from the labels; returns :meth:`beside`.

        Args:
            students: what they predicted at the nodes' arrival ``[n, G, C]``.
            trees: what the trees predicted then, as for :meth:`beside`.
            labels: classes ``[n]``.
            columns: the classes of the columns; None where each class is the column of its number.
        """
        members = self._members(students, trees)
        candidates = self.beside(students, trees, columns)
        combined = candidates[:, -1:]
        judged = np.concatenate([combined, members[:, students.shape[1] :]], axis=1)
        self._scores.add(judged, labels, columns)
        places, counts = (columns.places(labels), columns.counts) if columns else (labels, None)
        self._pool.add(members, places, counts)
        return candidates

    def fit(self) -> None:
        """Fit the weights to the labels that have come."""
        self._pool.fit()

    def renew(self, member: int) -> None:
        """Forget what a member predicted before: it has new weights."""
        self._pool.renew(member)

    def table(self) -> ScoreTable:
        """Its scores ``[1]``."""
        return self._scores.table().part(slice(0, 1))

    def trees_table(self) -> ScoreTable:
        """Scores of the trees ``[1]``; none without trees."""
        return self._scores.table().part(slice(1, None))

    def class_report(self, names: Sequence[str], most: int = LISTED_CLASSES) -> ClassReport:
        """Its report, class by class.

        Args:
            names: of the graph's classes, by number.
            most: classes to list, at most.
        """
        return self._scores.class_report(0, names, most)

    def lead_figure(self, metric: Metric, names: Sequence[str], number: int | None, *, declared: bool) -> LeadFigure:
        """Its score on the metric that decides; arguments as for :meth:`Scores.lead_figure`."""
        return self._scores.lead_figure(0, metric, names, number, declared=declared)

    def trees_lead(self, metric: Metric, names: Sequence[str], number: int | None, *, declared: bool) -> LeadFigure:
        """The score of the trees on the metric that decides; arguments as for :meth:`Scores.lead_figure`."""
        return self._scores.lead_figure(1, metric, names, number, declared=declared)

    def _members(self, students: Probabilities, trees: Probabilities | None) -> Probabilities:
        """What all members predict: ``[n, G, C]``, or ``[n, G + 1, C]`` with trees."""
        if not self.trees:
            return students
        nodes, _, columns = students.shape
        last = np.full((nodes, 1, columns), np.nan, np.float32)
        if trees is not None and trees.shape[1]:
            # A class that one of both does not know has no probability.
            known = min(columns, trees.shape[1])
            last[:, 0] = 0
            last[:, 0, :known] = trees[:, :known]
            last[~np.isfinite(last).all(axis=2)] = np.nan
        return np.concatenate([students, last], axis=1)

    def forget(self, count: int) -> None:
        """Let what is known weigh as much as ``count`` scored nodes at most."""
        for held in (self._pool, self._scores, self.standings):
            held.forget(count)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return join_parts(
            {
                "pool": self._pool.state(),
                "standing": self.standings.state(),
                "scores": self._scores.state(),
            }
        )

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`; without any it begins."""
        if not state:
            return
        self._pool.restore(take_part(state, "pool"))
        self.standings.restore(take_part(state, "standing"))
        self._scores.restore(take_part(state, "scores"))
