"""The edges without a label that are likeliest to be of a class, for those who work through them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from olad_core.graph.store import DynamicGraph
from olad_core.tasks.edge_class.learner import Learner

MOST_RANKED = 8_192
"""Edges without a label that are compared: the newest ones."""


class ListedEdge(NamedTuple):
    """An edge of a list: its id, where it has one, both ends, and what is predicted of it now, by class."""

    edge: str | None
    source: str
    target: str
    probabilities: dict[str, float]


class LikeliestEdges(NamedTuple):
    """The edges without a label that are likeliest to be of a class.

    Attributes:
        task: its name.
        edges: the likeliest first.
        compared: edges among which they were found.
        waiting: edges that are remembered and have no label.
        version: steps that the head had taken.
    """

    task: str
    edges: list[ListedEdge]
    compared: int
    waiting: int
    version: int


def likeliest_edges(task: str, learner: Learner, graph: DynamicGraph, of_class: str, most: int) -> LikeliestEdges:
    """Rank the newest edges without a label.

    Args:
        task: name of the task.
        learner: its state, which answers.
        graph: the live graph.
        of_class: one of its classes.
        most: how many are listed.
    """
    edges, ring, number = learner.edges, learner.edges.ring, learner.classes.index(of_class)
    oldest_first = np.roll(np.arange(len(ring.held)), -ring.next_place)
    waiting = oldest_first[ring.held[oldest_first] & (edges.label[oldest_first] < 0)]
    newest = waiting[-MOST_RANKED:]
    found = learner.predict(edges.inputs(newest)).mixed
    first = np.argsort(-found[:, number], kind="stable")[:most]
    ends = np.reshape(graph.ids(ring.ends[newest[first]].ravel()), (-1, 2)).tolist()
    listed = [
        ListedEdge(ring.id_of(place), source, target, dict(zip(learner.classes, row, strict=True)))
        for place, (source, target), row in zip(newest[first].tolist(), ends, found[first].tolist(), strict=True)
    ]
    return LikeliestEdges(task, listed, len(newest), len(waiting), learner.head.steps)
