"""What a practitioner has without a graph network: the baselines of ``olad evaluate``, on the benchmark's streams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.learning.learners import Probabilities, unlabelled_rows
from benchmarks.learning.stream import Turn
from olad_core.events import GraphSchema, UpsertNode
from service.evaluation.baselines.follower import BaselinePlayer, Rule


class TableLearner:
    """A rule that follows a stream; it learns from what was known of a node at its arrival.

    Args:
        rule: predicts and learns.
    """

    def __init__(self, rule: Rule) -> None:
        self._player = BaselinePlayer(rule)

    def declare(self, schema: GraphSchema) -> None:
        """Begin."""
        self._player.declare(schema)

    def apply(self, number: int, turn: Turn) -> None:
        """Follow the graph."""
        named = dict.fromkeys(str(event.id) for event in turn.events if isinstance(event, UpsertNode))
        self._player.follow(number, turn.events, self._player.unknown(list(named)))

    def predict(self, nodes: Sequence[str]) -> dict[str, Probabilities]:
        """The rule's probabilities."""
        unlabelled_rows(self._player.graph, nodes)
        return {"served": self._player.predict(nodes).probabilities.astype(np.float64)}

    def learn(self, steps: int, share: float) -> None:
        """Train where that is due; however many steps others take."""
        del steps, share
        self._player.learn()

    def end_first_part(self) -> None:
        """There is no teacher."""

    @property
    def steps(self) -> int:
        """None are taken."""
        return 0
