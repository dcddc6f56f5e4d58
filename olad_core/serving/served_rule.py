"""The rule by which served probabilities become labels: the decisions of the schema, shares of nodes as thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.events import ClassDecision
from olad_core.graph import DynamicGraph
from olad_core.serving.versions import HeldVersion
from olad_core.tasks.label_rule import LabelRule, declared_rule, share_threshold

Rows = npt.NDArray[np.int64]

LEAST_EVENTS = 200
"""Applied events after which the thresholds of shares are found again, at least."""
NODES_PER_EVENT = 50
"""In a large graph that takes as many more events: one for so many nodes."""
_ROWS_AT_ONCE = 16_384


class ServedRule:
    """Follows what the schema declares, and what is served, so that a share of the nodes is a threshold."""

    def __init__(self) -> None:
        self.rule = LabelRule()
        self._shares: dict[str, float] = {}
        # Version, and applied events, for which the thresholds of shares were found.
        self._found: tuple[int, int] = (0, 0)

    def follow(self, graph: DynamicGraph, served: HeldVersion | None, applied_events: int) -> LabelRule:
        """The rule for what is served now.

        Args:
            graph: the live graph, with the decisions of its schema.
            served: the version that readers get; None while there is none.
            applied_events: number of events that the graph has seen.
        """
        version = served.version.number if served is not None else None
        due = self.due(graph.decisions, version, graph.num_nodes, applied_events)
        return self.take(graph.decisions, _thresholds(graph, served, due) if due and served is not None else None)

    def due(
        self, declared: Mapping[str, ClassDecision], version: int | None, nodes: int, applied_events: int
    ) -> dict[str, float]:
        """The shares of nodes, by class, whose thresholds have to be found now; empty where none have.

        :meth:`take` has to follow.

        Args:
            declared: the decisions of the schema.
            version: number of the version that readers get; None while there is none.
            nodes: of the graph.
            applied_events: number of events that the graph has seen.
        """
        shares = {name: one.top_share for name, one in declared.items() if one.top_share is not None}
        if version is None or not shares:
            self._shares = {}
            return {}
        before, event = self._found
        wait = max(LEAST_EVENTS, nodes // NODES_PER_EVENT)
        if shares == self._shares and version == before and applied_events - event < wait:
            return {}
        self._shares, self._found = shares, (version, applied_events)
        return shares

    def take(self, declared: Mapping[str, ClassDecision], found: Mapping[str, float] | None) -> LabelRule:
        """The rule for what is served now.

        Args:
            declared: the decisions of the schema.
            found: the thresholds that were due; None where none were.
        """
        if found is None:
            found = {name: self.rule.thresholds[name] for name in self._shares if name in self.rule.thresholds}
        if declared or self.rule:
            self.rule = declared_rule(declared, found)
        return self.rule

    def state(self) -> dict[str, object]:
        """Plain values for a checkpoint; empty where nothing is declared."""
        if not self.rule:
            return {}
        rule = {"thresholds": dict(self.rule.thresholds), "costs": dict(self.rule.costs)}
        return {"label_rule": {**rule, "shares": self._shares, "found": list(self._found)}}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take over the values of :meth:`state`."""
        held = values.get("label_rule")
        if held is not None:
            self.rule = LabelRule(dict(held["thresholds"]), dict(held["costs"]))
            self._shares = dict(held["shares"])
            version, event = held["found"]
            self._found = int(version), int(event)


def _thresholds(graph: DynamicGraph, served: HeldVersion, shares: Mapping[str, float]) -> dict[str, float]:
    """The probability that so great a share of the nodes without a label reaches, by class; at least one node does.

    A label is an input of what is served of its own node, so labelled nodes would take the places of the others.
    """
    classes = served.version.classes
    known = {name: classes.index(name) for name in shares if name in classes}
    rows = np.flatnonzero(graph.alive & (graph.label < 0))
    if not len(rows) or not known:
        return {}
    columns = list(known.values())
    parts = [
        served.embedding.probabilities(rows[first : first + _ROWS_AT_ONCE])[:, columns]
        for first in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    probabilities = np.nan_to_num(np.concatenate(parts))
    return {name: share_threshold(probabilities[:, column], shares[name]) for column, name in enumerate(known)}
