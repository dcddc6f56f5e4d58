"""Edges by name, and the predictions of those whose label has come: what scores of several predictors are paired by."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from olad_core.graph.relations import RelationRule

EdgeKey: TypeAlias = str | tuple[str, str]
"""An edge of a type by its id, or by both ends, in order where edges have a direction."""


class LabelledEdge(NamedTuple):
    """A prediction at arrival whose label came in the last entry.

    Attributes:
        task: name of the task.
        edge: which edge it is.
        probabilities: float32 ``[2, C]``: the shares of the classes, then what was answered; NaN without an answer.
        label: class.
    """

    task: str
    edge: EdgeKey
    probabilities: npt.NDArray[np.float32]
    label: int


def edge_key(rule: RelationRule, src: str | int | None, dst: str | int | None, edge: str | int | None) -> EdgeKey:
    """The key of an edge by what an event has of it.

    >>> edge_key(RelationRule(directed=False), "b", "a", None), edge_key(RelationRule(ids=True), "b", "a", "p1")
    (('a', 'b'), 'p1')
    """
    if rule.ids:
        return str(edge)
    ends = str(src), str(dst)
    return ends if rule.directed or ends[0] <= ends[1] else (ends[1], ends[0])
