"""The members of the group that are no students: boosted trees and a linear model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.config import LINEAR, TREES
from olad_core.graph import DynamicGraph
from olad_core.graph.arrays import Float32s, Int64s
from olad_core.linear.member import Linear
from olad_core.named_state import join_parts, take_part
from olad_core.trees.member import Trees
from olad_core.trees.table import Tables


class BesideStudents:
    """Asks them together. Their predictions are ``[n, K, C]``, the trees first; NaN where one has no answer.

    Args:
        trees: None where they are not grown.
        linear: None where there is none.
    """

    def __init__(self, trees: Trees | None, linear: Linear | None) -> None:
        self.trees = trees
        self.linear = linear
        self._members = tuple(member for member in (trees, linear) if member is not None)

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._members)

    def arrived(self, graph: DynamicGraph, rows: Int64s) -> Float32s | None:
        """What they predict of nodes that have just arrived; None without members or nodes.

        Args:
            graph: with the nodes in it.
            rows: of the nodes ``[n]``, distinct.
        """
        if not self or not len(rows):
            return None
        nodes = Tables(graph, rows, hidden=rows)
        return together([member.arrived(nodes) for member in self._members])

    def labelled(self, arrival: Int64s, label: Int64s) -> Float32s | None:
        """Let them learn from nodes whose label has come; what they predicted at arrival, None without members.

        Args:
            arrival: numbers of their arrivals ``[n]``.
            label: their classes ``[n]``.
        """
        if not self:
            return None
        return together([member.labelled(arrival, label) for member in self._members])

    def predict(self, graph: DynamicGraph, rows: Int64s) -> Float32s | None:
        """What they predict of nodes as the graph is now, whose own labels are hidden; None without members."""
        if not self:
            return None
        return together([member.predict(graph, rows) for member in self._members])

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        parts = {TREES: self.trees, LINEAR: self.linear}
        return join_parts({name: member.state() for name, member in parts.items() if member is not None})

    def restore(self, state: Mapping[str, npt.NDArray[Any]], graph: DynamicGraph) -> None:
        """Take over the :meth:`state` of others that followed this graph; one that it has no part of begins anew.

        Raises:
            KeyError: an array is missing.
            ValueError: the arrays are not such a state.
        """
        for name, member in ((TREES, self.trees), (LINEAR, self.linear)):
            part = take_part(state, name)
            if member is not None and part:
                member.restore(part, graph)

    def forget(self, count: int) -> None:
        """Let what was learned weigh as much as ``count`` labelled nodes at most, where it does not age by itself."""
        if self.linear:
            self.linear.forget(count)


def together(parts: list[Float32s]) -> Float32s:
    """Predictions ``[n, C_k]`` of K members as ``[n, K, C]``; 0 for classes that one does not know yet.

    >>> together([np.ones((1, 1), np.float32), np.full((1, 2), np.nan, np.float32)]).tolist()
    [[[1.0, 0.0], [nan, nan]]]
    """
    classes = max(part.shape[1] for part in parts)
    found: npt.NDArray[np.float32] = np.zeros((len(parts[0]), len(parts), classes), np.float32)
    for place, part in enumerate(parts):
        found[:, place, : part.shape[1]] = part
        found[~np.isfinite(part).all(axis=1) | (part.shape[1] == 0), place] = np.nan
    return found
