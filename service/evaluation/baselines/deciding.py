"""Labels of a baseline by the decisions of the schema: a share of the nodes becomes a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from olad_core.events import ClassDecision
from olad_core.tasks.label_rule import LabelRule, declared_rule, share_threshold
from service.evaluation.waiting import Waiting


class Deciding:
    """Follows what was predicted of nodes without a label, where a decision is a share of them.

    A baseline predicts a node once, at its arrival. The engine ranks what it predicts of them now.
    """

    def __init__(self) -> None:
        self._predicted: Waiting[npt.NDArray[np.float32]] = Waiting()

    def rule(
        self,
        declared: Mapping[str, ClassDecision],
        classes: Sequence[str],
        nodes: Sequence[str],
        probabilities: npt.NDArray[np.float32],
        most: int,
    ) -> LabelRule:
        """The rule for nodes that arrive now, which count among those without a label.

        Args:
            declared: decisions of the schema.
            classes: names of the columns.
            nodes: that arrive.
            probabilities: predicted of them ``[n, C]``; a row of NaN without an answer.
            most: nodes that are remembered, at most.
        """
        # A decision declares its class, so it has a column from the start.
        shares = {name: one.top_share for name, one in declared.items() if one.top_share is not None}
        if not shares:
            return declared_rule(declared, {})
        columns = [classes.index(name) for name in shares]
        for node, row in zip(nodes, probabilities[:, columns], strict=True):
            if np.isfinite(row).all():
                self._predicted.add(node, row, most)
        waiting = self._predicted.values()
        if not waiting:
            return declared_rule(declared, {})
        ranked = np.stack(waiting)
        pairs = zip(shares.items(), ranked.T, strict=True)
        return declared_rule(declared, {name: share_threshold(column, share) for (name, share), column in pairs})

    def forget(self, nodes: Iterable[str]) -> None:
        """These nodes have a label from now on, or are gone."""
        for node in nodes:
            self._predicted.take(node)
