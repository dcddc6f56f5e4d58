"""Chooses which columns the rounds of boosting see, by rows that are held out, and grows the forest."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import Bools, Float32s, Float64s
from olad_core.tasks.node_class import LEAST_PROBABILITY
from olad_core.trees.forest import Forest
from olad_core.trees.growth import Growth, GrowthConfig, View
from olad_core.trees.table import averaged_features

HELD_OUT = 0.2
"""Share of the rows that the views are compared on, drawn at random."""
FEWEST_ROWS = 100
"""With fewer rows nothing is compared: too few would be held out."""
ROUNDS = 20
"""Of boosting, at most, before the views are compared."""
CLEAR = 1.0
"""Standard errors of the mean difference from which on one view is chosen alone."""


class ChosenGrowth:
    """A forest whose rounds see what has shown to be of use; else both views by turns.

    The means of the neighbours' features are of great use where neighbours are alike, and noise where they are not.
    So two small forests are grown on the same part of the rows: one sees the means, the other does not. Their
    log-losses on the other rows are compared. The forest itself is then grown on all rows.

    Args:
        table, label, classes, features, config: as for :class:`~olad_core.trees.growth.Growth`.
    """

    def __init__(
        self,
        table: Float32s,
        label: npt.NDArray[np.integer],
        classes: int,
        features: int,
        config: GrowthConfig | None = None,
    ) -> None:
        config = config or GrowthConfig()
        self._begin = functools.partial(Growth, table, label, classes, features, config)
        self._growth: Growth | None = None
        if averaged_features(features) == 0 or len(table) < FEWEST_ROWS:
            self._growth = self._begin("both")
            return
        held = held_out(len(table), config.seed)
        self._others = table[held], label[held]
        part = table[~held], label[~held], classes, features, config
        self._compared: Mapping[View, Growth] = {"own": Growth(*part, "own"), "all": Growth(*part, "all")}
        self._rounds = max(1, min(ROUNDS, config.rounds_of(classes) // 4))
        self._left = 2 * self._rounds

    def advance(self) -> bool:
        """Take one round, of the comparison or of the forest; whether the forest is finished."""
        if self._growth is not None:
            return self._growth.advance()
        self._compared["own" if self._left > self._rounds else "all"].advance()
        self._left -= 1
        if self._left == 0:
            self._growth = self._begin(self._chosen())
        return False

    def forest(self) -> Forest:
        """The trees grown so far.

        Raises:
            RuntimeError: the views are still compared.
        """
        if self._growth is None:
            raise RuntimeError("no trees before the views have been compared")
        return self._growth.forest()

    def _chosen(self) -> View:
        own, whole = (_losses(self._compared[view].forest(), *self._others) for view in ("own", "all"))
        self._compared = {}
        return clearer(own, whole)


def held_out(rows: int, seed: int) -> Bools:
    """Which of so many rows are held out."""
    held = np.zeros(rows, np.bool_)
    held[np.random.default_rng(seed).permutation(rows)[: int(rows * HELD_OUT)]] = True
    return held


def clearer(own: Float64s, whole: Float64s) -> View:
    """The view whose losses ``[n]`` are clearly less on the same rows; ``both`` where neither is.

    >>> clearer(np.array([0.1, 0.2, 0.1]), np.array([0.9, 1.1, 1.0]))
    'own'
    >>> clearer(np.array([0.1, 0.9]), np.array([0.9, 0.1]))
    'both'
    """
    apart = own - whole
    error = apart.std(ddof=1) / np.sqrt(len(apart))
    if abs(apart.mean()) <= CLEAR * error:
        return "both"
    return "own" if apart.mean() < 0 else "all"


def _losses(forest: Forest, table: Float32s, label: npt.NDArray[np.integer]) -> Float64s:
    """Log-loss ``[n]`` of each row."""
    of_label = forest.probabilities(table)[np.arange(len(label)), label]
    losses: Float64s = -np.log(np.maximum(of_label.astype(np.float64), LEAST_PROBABILITY))
    return losses
