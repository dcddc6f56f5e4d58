"""What contestants predicted of the edges of a task, and how they differ on the edges that both predicted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from olad_core.judging.paired import Differences, Outcomes, differences
from olad_core.tasks.labelled_edges import EdgeKey, LabelledEdge

_LEAST = 1e-7
"""Probability that the class of an edge counts as having at least."""


class TaskOutcomes:
    """The labelled edges of a contestant, by task, in the order of their labels."""

    def __init__(self) -> None:
        self._edges: dict[str, dict[EdgeKey, LabelledEdge]] = {}

    def add(self, labelled: Sequence[LabelledEdge]) -> None:
        """Take the edges whose labels came in an entry."""
        for edge in labelled:
            self._edges.setdefault(edge.task, {})[edge.edge] = edge

    def of(self, task: str) -> dict[EdgeKey, LabelledEdge]:
        """Those of a task."""
        return self._edges.get(task, {})


def rarest(edges: Sequence[LabelledEdge], classes: Sequence[str]) -> str | None:
    """The class with fewest edges among those that have any; None where there are not two."""
    counts = np.bincount([edge.label for edge in edges], minlength=len(classes))
    known = np.flatnonzero(counts)
    return classes[known[counts[known].argmin()]] if known.size > 1 else None


def task_differences(
    one: dict[EdgeKey, LabelledEdge],
    reference: dict[EdgeKey, LabelledEdge],
    names: tuple[Sequence[str], Sequence[str]],
    ranked: str | None,
) -> Differences:
    """Differences on the edges that both have, in the order of the reference.

    Args:
        one: labelled edges of a contestant.
        reference: of the one that it is compared with.
        names: of the classes of both, by number.
        ranked: the class whose average precision is compared.
    """
    both = [edge for edge in reference if edge in one]
    own = _outcomes([one[edge] for edge in both], names[0], names[1], ranked)
    other = _outcomes([reference[edge] for edge in both], names[1], names[1], ranked)
    truth = np.array([reference[edge].label for edge in both], np.int64)
    return differences(own, other, truth, None if ranked is None else list(names[1]).index(ranked))


def _outcomes(
    edges: Sequence[LabelledEdge], names: Sequence[str], common: Sequence[str], ranked: str | None
) -> Outcomes:
    """What was predicted of edges, with the numbers that the classes have in ``common``."""
    found = np.zeros((len(edges), len(common)))
    for row, edge in zip(found, edges, strict=True):
        columns = [list(common).index(names[place]) for place in range(edge.probabilities.shape[1])]
        row[columns] = edge.probabilities[1]
    label = np.array([list(common).index(names[edge.label]) for edge in edges], np.int64)
    answered = np.isfinite(found).all(axis=1)
    given = found[np.arange(len(edges)), label]
    predicted: npt.NDArray[np.int64] = np.where(answered, np.nan_to_num(found).argmax(axis=1), -1)
    loss = -np.log(np.maximum(np.nan_to_num(given, nan=1.0), _LEAST))
    return Outcomes(predicted, loss, None if ranked is None else found[:, list(common).index(ranked)])
