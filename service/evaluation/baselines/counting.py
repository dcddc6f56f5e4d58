"""Baselines that count: the commonest class so far, and the vote of the labelled neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from service.evaluation.baselines.follower import Example, Floats, Known

PRIOR = 0.5
"""What the classes' frequencies count beside the votes of the neighbours."""


def frequencies(counts: Floats, nodes: int) -> Floats:
    """The shares of the classes ``[nodes, C]``, the same for every node; NaN while nothing is counted.

    >>> frequencies(np.array([3.0, 1.0]), 2).tolist()
    [[0.75, 0.25], [0.75, 0.25]]
    """
    total = counts.sum()
    return np.tile(counts / total if total else np.full_like(counts, np.nan), (nodes, 1))


class Majority:
    """Every node has the probabilities of the classes' frequencies so far; no answer before the first label.

    >>> known = Known(np.zeros((1, 0)), np.zeros((1, 1)), np.array([[0.0, 5.0]]), np.array([3.0, 1.0]))
    >>> Majority().predict(known).tolist()
    [[0.75, 0.25]]
    """

    learns: ClassVar[bool] = False
    looks_around: ClassVar[bool] = False

    def predict(self, known: Known) -> Floats:
        """The frequencies as shares, for every node."""
        return frequencies(known.frequency, len(known))

    def learn(self, examples: Sequence[Example], arrivals: int) -> None:
        """There is nothing to learn."""


class Vote:
    """A node has the class that most of its labelled neighbours have, by the weights of the edges.

    The classes' frequencies, each one greater, count as half a vote in all; so a node without labelled neighbours has
    the commonest class. There is no answer before the first label.

    >>> known = Known(np.zeros((1, 0)), np.zeros((1, 1)), np.array([[0.0, 1.5]]), np.array([2.0, 0.0]))
    >>> Vote().predict(known).tolist()
    [[0.1875, 0.8125]]
    """

    learns: ClassVar[bool] = False
    looks_around: ClassVar[bool] = False

    def predict(self, known: Known) -> Floats:
        """Shares of the votes."""
        if not known.frequency.any():
            return np.full((len(known), len(known.frequency)), np.nan)
        return voted(known.near, known.frequency)

    def learn(self, examples: Sequence[Example], arrivals: int) -> None:
        """There is nothing to learn."""


def voted(near: Floats, frequency: Floats) -> Floats:
    """Class probabilities ``[n, C]`` out of votes.

    Args:
        near: weights of the labelled neighbours by class ``[n, C]``; of a directed graph ``[n, 2 C]``.
        frequency: labelled nodes of each class ``[C]``.
    """
    prior = frequency + 1.0
    sums = near.reshape(len(near), -1, len(frequency)).sum(axis=1) if len(frequency) else near
    sums = sums + PRIOR * prior / prior.sum()
    shares: Floats = sums / sums.sum(axis=1, keepdims=True)
    return shares
