"""What contestants predicted of nodes whose value has come, and how their errors differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from olad_core.judging.paired import Difference, mean_difference
from olad_core.node_value_tasks import ScoredNode


class ValueOutcomes:
    """The scored nodes of a contestant, by task, in the order of their values."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, ScoredNode]] = {}

    def add(self, scored: Sequence[ScoredNode]) -> None:
        """Take the nodes whose values came in an entry."""
        for each in scored:
            self._nodes.setdefault(each.task, {})[each.node] = each

    def less(self, reference: ValueOutcomes, task: str) -> Difference | None:
        """Mean absolute error of a task less that of the reference, on nodes that both predicted; None without any."""
        own, other = self._nodes.get(task, {}), reference._nodes.get(task, {})
        both = [node for node in other if node in own]
        if not both:
            return None
        errors = [np.array([_error(of[node]) for node in both]) for of in (own, other)]
        return mean_difference(errors[0], errors[1])


def _error(scored: ScoredNode) -> float:
    return abs(scored.predicted - scored.value)
