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
    """Learns how to combine the predictions of G students, and of members beside them, and scores what comes of it.

    A node is scored when its label comes, by what the members predicted at its arrival, with the weights as they are
    just before the label.

    Args:
        students: number of students G.
        memory: scored nodes after which the weight of a score has fallen to 1/e.
        declared: the metric that the user cares about; None where nothing is declared.
        beside: names of the K members after the students.
    """

    def __init__(self, students: int, memory: float, declared: Metric | None, beside: Sequence[str] = ()) -> None:
        self.standings = Standings(students + 1, memory, declared)
        """Of the students, and last of what is combined: each less the mean of them all."""
        self.beside = tuple(beside)
        """Names of the members after the students."""
        self._pool = Pool(students + len(beside))
        # Of what is combined, and of the members beside the students.
        self._scores = Scores(1 + len(beside), memory)

    def weights(self) -> PoolWeights:
        """Those of the members, as they are now."""
        return self._pool.weights()

    def candidates(
        self, students: Probabilities, beside: Probabilities | None, columns: ClassColumns | None = None
    ) -> Probabilities:
        """The predictions of the students ``[n, G, C]``, and behind them the combined one: ``[n, G + 1, C]``.

        Args:
            students: ``[n, G, C]``.
            beside: what the others predict ``[n, K, C]``, or of fewer classes; None or NaN where they have no answer.
            columns: the classes of the columns; None where each class is the column of its number.
        """
        members = self._members(students, beside)
        combined = self.weights().combine(members, columns.counts if columns else None)
        return np.concatenate([students, combined[:, None]], axis=1)

    def score(
        self, students: Probabilities, beside: Probabilities | None, labels: Rows, columns: ClassColumns | None
    ) -> Probabilities:
        """Score what is combined of the members' predictions, then learn from the labels; returns :meth:`candidates`.

        Args:
            students: what they predicted at the nodes' arrival ``[n, G, C]``.
            beside: what the others predicted then, as for :meth:`candidates`.
            labels: classes ``[n]``.
            columns: the classes of the columns; None where each class is the column of its number.
        """
        members = self._members(students, beside)
        candidates = self.candidates(students, beside, columns)
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

    def table_of(self, name: str) -> ScoreTable:
        """Scores ``[1]`` of a member beside the students."""
        place = 1 + self.beside.index(name)
        return self._scores.table().part(slice(place, place + 1))

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

    def lead_of(
        self, name: str, metric: Metric, names: Sequence[str], number: int | None, *, declared: bool
    ) -> LeadFigure:
        """The score of a member beside the students on the metric that decides.

        The other arguments are as for :meth:`Scores.lead_figure`.
        """
        return self._scores.lead_figure(1 + self.beside.index(name), metric, names, number, declared=declared)

    def _members(self, students: Probabilities, beside: Probabilities | None) -> Probabilities:
        """What all members predict ``[n, G + K, C]``."""
        if not self.beside:
            return students
        nodes, _, columns = students.shape
        others = np.full((nodes, len(self.beside), columns), np.nan, np.float32)
        if beside is not None and beside.shape[2]:
            # A class that one of both does not know has no probability.
            known = min(columns, beside.shape[2])
            others[:] = 0
            others[:, :, :known] = beside[:, :, :known]
            others[~np.isfinite(others).all(axis=2)] = np.nan
        return np.concatenate([students, others], axis=1)

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
