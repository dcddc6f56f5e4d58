"""Why edges that are named by what a question has of them are predicted as they are."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from olad_core.graph import DynamicGraph
from olad_core.graph.arriving_edges import time_of_arrival
from olad_core.tasks.edge_class import Arriving, EdgeExplanation, LabelEffect, Learner, explain_edge
from olad_core.tasks.found_edges import found_edge


class EarlierEdge(NamedTuple):
    """An edge that has arrived and has a label, and what taking away the label does.

    Attributes:
        source, target: ids of its ends.
        id: its own; None where it has none.
        label: its class.
        change: of the probability that is explained.
    """

    source: str
    target: str
    id: str | None
    label: str
    change: float


class TaskExplanation(NamedTuple):
    """Why an edge is predicted as it is.

    Attributes:
        task: that predicts.
        edge: what the prediction is made of.
        earlier: the edges whose labels it lists, in its order.
        version: steps that the head had taken.
    """

    task: str
    edge: EdgeExplanation
    earlier: tuple[EarlierEdge, ...]
    version: int


def explained(
    graph: DynamicGraph,
    task: str,
    learner: Learner,
    edge_type: str,
    ends: tuple[str, str] | None,
    edge: str | None,
    weight: float,
    shown: int,
) -> TaskExplanation | Literal["no-model", "unknown-edge"]:
    """Why an edge is predicted as it is, there or not; why there is no answer otherwise.

    Args:
        graph: the live graph.
        task: name of the task.
        learner: of the task.
        edge_type: of the edge.
        ends: as for :func:`~olad_core.tasks.found_edges.found_edge`.
        edge: likewise.
        weight: of an edge that is not remembered.
        shown: how many labels of earlier edges are listed at most.
    """
    found = found_edge(graph, learner, learner.edges.ring.find, edge_type, ends, edge)
    if isinstance(found, str):
        return found
    asked: Arriving | int | None = found.place
    if asked is None:
        asked = Arriving(found.ends, weight, time_of_arrival(graph), np.zeros(learner.features, np.float32))
    explanation = explain_edge(learner, asked, shown)
    earlier = tuple(_earlier(graph, learner, effect) for effect in explanation.labels)
    return TaskExplanation(task, explanation, earlier, learner.head.steps)


def _earlier(graph: DynamicGraph, learner: Learner, effect: LabelEffect) -> EarlierEdge:
    ring, place = learner.edges.ring, effect.place
    source, target = graph.ids(ring.ends[place])
    return EarlierEdge(source, target, ring.id_of(place), learner.classes[learner.edges.label[place]], effect.change)
