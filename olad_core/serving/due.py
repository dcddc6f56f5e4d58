"""Rows of the served version that are wanted and heavy: they are computed beside the turns, not in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from olad_core.graph import DynamicGraph
from olad_core.serving.answers import Answers, Origin
from olad_core.serving.embedding import Embedding
from olad_core.serving.hub_rows import EDGES_PER_ROW, HEAVY
from olad_core.serving.refresh_cost import WorkBeneath

Rows = npt.NDArray[np.int64]

MOST_DUE = 1_024
"""Rows that wait at most; what comes then stays marked until it is wanted again."""
_LEAST_ROWS = 64
"""Rows beside the turns that are computed at once at least. The first of them may bring a heavy row up to date, which
is work for all of them."""
_ROWS_AT_ONCE = 512
"""Work after which a bound is compared with what was done, in rows of layers, without what is marked beneath them."""


class DueRows:
    """Rows in the order in which they were wanted first."""

    def __init__(self) -> None:
        self._rows: dict[int, None] = {}
        self._hub_is_next = False

    def add(self, rows: Rows) -> None:
        """Note that rows are wanted."""
        for row in rows.tolist():
            if len(self._rows) < MOST_DUE:
                self._rows[row] = None

    def begin_anew(self) -> None:
        """Forget all rows."""
        self._rows = {}

    def wait_for(self, embedding: Embedding) -> bool:
        """Whether :meth:`compute` has anything to do."""
        return bool(self._rows) or embedding.hub is not None

    def compute(
        self,
        embedding: Embedding,
        answers: Answers,
        graph: DynamicGraph,
        origin: Origin,
        most_work: int,
        beneath: WorkBeneath,
    ) -> int:
        """Compute some of them, or a slice of one.

        Args:
            embedding: of the served version.
            answers: of the same.
            graph: the live graph.
            origin: where in the log it is.
            most_work: about how much is done, in rows of layers.
            beneath: what computing rows takes.

        Returns:
            The work that it was; 0 where nothing waits.
        """
        if embedding.hub is not None:
            self._hub_is_next = not self._hub_is_next
            work, answer = embedding.advance_hub(graph, embedding.hub, origin, most_work)
            if answer is not None:
                answers.compute(graph, np.array([answer.row]), answer.origin)
            return max(1, work)
        rows = np.array([row for row in self._rows if row < graph.capacity], np.int64)
        rows = rows[graph.alive[rows] & (embedding.marks[rows] > 0)]
        self._rows = dict.fromkeys(rows.tolist())
        hubs = embedding.stale_hubs(graph, rows)
        others = rows[~np.isin(rows, hubs)]
        hub_is_next, self._hub_is_next = self._hub_is_next or not len(others), not self._hub_is_next
        if not (len(hubs) and hub_is_next):
            return self._compute_rows(embedding, answers, graph, others, origin, most_work, beneath)
        work, _ = embedding.advance_hub(graph, int(hubs[0]), origin, most_work)
        if embedding.hub is not None:
            # The graph is copied: who wants the row from here on wants a later one.
            self._rows.pop(embedding.hub, None)
        return max(1, work)

    def _compute_rows(
        self,
        embedding: Embedding,
        answers: Answers,
        graph: DynamicGraph,
        rows: Rows,
        origin: Origin,
        most_work: int,
        beneath: WorkBeneath,
    ) -> int:
        """The heavy row that has waited longest, then rows that read it: they take little time after it."""
        heavy = graph.in_degree(rows) >= HEAVY
        first, light = rows[heavy][:1], rows[~heavy]
        work = 0
        if len(first):
            computed = embedding.compute(graph, first)
            answers.compute(graph, computed.rows, origin)
            work = max(1, computed.work)
        done, count = compute_some(embedding, answers, graph, light, origin, most_work, beneath, least=_LEAST_ROWS)
        for row in (*first.tolist(), *light[:count].tolist()):
            del self._rows[row]
        return work + done


def compute_some(
    embedding: Embedding,
    answers: Answers,
    graph: DynamicGraph,
    rows: Rows,
    origin: Origin,
    most_work: int,
    beneath: WorkBeneath,
    *,
    least: int = 1,
) -> tuple[int, int]:
    """Compute marked rows in their order, as many as are expected to be so much work, and ``least`` where there are.

    Returns:
        The work that it was, and how many rows were passed.
    """
    first, work = 0, 0
    while first < len(rows) and work < most_work:
        own = np.cumsum(1 + graph.in_degree(rows[first : first + _ROWS_AT_ONCE]) // EDGES_PER_ROW)
        fitting = min(beneath.fitting(most_work - work), _ROWS_AT_ONCE)
        count = int(np.searchsorted(own, fitting, side="right"))
        if not count and work:
            break
        count = min(max(least, count), len(own))
        computed = embedding.compute(graph, rows[first : first + count])
        answers.compute(graph, computed.rows, origin)
        done = max(count, computed.work)
        beneath.follow(int(own[count - 1]), done)
        work += done
        first += count
    return work, first
