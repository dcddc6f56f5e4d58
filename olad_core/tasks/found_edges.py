"""Remembered edges found by what a label or a question has of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from olad_core.events import Features, LabelNode, RejectedOp, UpsertEdge
from olad_core.graph import DynamicGraph, Rejection
from olad_core.graph.arriving_edges import rows_of_ends, time_of_arrival
from olad_core.graph_types import RELATION
from olad_core.tasks.edge_class import features_given

Floats = npt.NDArray[np.float32]
EdgeEvent: TypeAlias = UpsertEdge | LabelNode
Find: TypeAlias = Callable[[int, int, str | None], int | None]
"""Place of an edge by the rows of its ends, or by its id where it has one; None where it is not remembered."""
Answer_co = TypeVar("Answer_co", covariant=True)


@dataclass(frozen=True)
class FoundLabel:
    """A label of an edge that is remembered.

    Attributes:
        index: of the event in its entry.
        op: what the event is.
        event: that has the label.
        edge_type: of the edge.
        edge: its id; None where those of the type have none.
        place: of the edge.
    """

    index: int
    op: RejectedOp
    event: EdgeEvent
    edge_type: str
    edge: str | int | None
    place: int


def found_labels(
    graph: DynamicGraph,
    labels: Sequence[tuple[int, EdgeEvent]],
    by_type: Mapping[str, Find],
    remembered: int,
    *,
    task: str,
    label: str,
) -> list[FoundLabel | Rejection]:
    """The edges of labels; why there is none otherwise.

    Args:
        graph: after the entry.
        labels: events of an entry, each with its index.
        by_type: finds the edges of each type that has a task.
        remembered: edges of a type, at most.
        task: what a task is called where there is none.
        label: what a label is called where its edge is not found.
    """
    ends = [(str(event.src or ""), str(event.dst or "")) for _, event in labels]
    found: list[FoundLabel | Rejection] = []
    for (index, event), (source, target) in zip(labels, rows_of_ends(graph, ends).tolist(), strict=True):
        op: RejectedOp = "upsert_edge" if type(event) is UpsertEdge else "label"
        kind = event.type or RELATION
        edge = event.id if isinstance(event, UpsertEdge) else event.edge
        if kind not in by_type:
            detail = f"no {task} is declared for edges of the type {kind!r}"
            found.append(Rejection(index, op, "unknown-type", detail))
            continue
        place = by_type[kind](source, target, str(edge) if graph.relation_rules[kind].ids else None)
        if place is None:
            which = f"{edge!r}" if edge is not None else f"from {event.src!r} to {event.dst!r}"
            detail = (
                f"the {label} of the edge {which} of the type {kind!r} cannot be taken: it is not among the last "
                f"{remembered:,} that arrived since the task was declared, or one of its ends has left"
            )
            found.append(Rejection(index, op, "unknown-edge", detail))
            continue
        found.append(FoundLabel(index, op, event, kind, edge, place))
    return found


class Answering(Protocol[Answer_co]):
    """What a task has learned, to answer with."""

    @property
    def features(self) -> int:
        """Features of an edge that are inputs."""

    @property
    def answers(self) -> bool:
        """Whether enough is known to answer."""

    def answer(self, place: int) -> Answer_co:
        """The prediction of the edge at a place."""

    def answer_new(self, ends: tuple[int, int], weight: float, time: float, features: Floats) -> Answer_co:
        """The prediction of an edge as if it arrived now."""


class FoundEdge(NamedTuple):
    """An edge that is asked for.

    Attributes:
        place: where it is remembered; None for one that has not arrived.
        ends: rows of source and target, -1 for a node that is not there, or where it is named by its id.
    """

    place: int | None
    ends: tuple[int, int]


def found_edge(
    graph: DynamicGraph,
    learner: Answering[object],
    find: Find,
    edge_type: str,
    ends: tuple[str, str] | None,
    edge: str | None,
) -> FoundEdge | Literal["no-model", "unknown-edge"]:
    """The edge that is asked for; why there is no answer otherwise.

    Args:
        graph: the live graph.
        learner: that would answer.
        find: finds the edges that it remembers.
        edge_type: of the edge.
        ends: ids of source and target, of no node too. Where edges have ids, a new edge is meant.
        edge: its id, instead of ends.
    """
    source, target = rows_of_ends(graph, [ends])[0].tolist() if ends is not None else (-1, -1)
    has_ids = graph.relation_rules[edge_type].ids
    place = find(source, target, edge) if edge is not None or not has_ids else None
    if place is None and ends is None:
        return "unknown-edge"
    return FoundEdge(place, (source, target)) if learner.answers else "no-model"


def answered(
    graph: DynamicGraph,
    learner: Answering[Answer_co],
    find: Find,
    edge_type: str,
    ends: tuple[str, str] | None,
    edge: str | None,
    weight: float,
    x: Features | None,
) -> Answer_co | Literal["no-model", "unknown-edge"]:
    """The prediction of an edge, there or not; why there is none otherwise.

    Args:
        graph: the live graph.
        learner: answers.
        find: finds the edges that it remembers.
        edge_type: of the edge.
        ends: as for :func:`found_edge`.
        edge: likewise.
        weight: of an edge that is not remembered.
        x: features of an edge that is not remembered, zeros if left out.
    """
    found = found_edge(graph, learner, find, edge_type, ends, edge)
    if isinstance(found, str):
        return found
    if found.place is not None:
        return learner.answer(found.place)
    features = features_given([x], learner.features)[0]
    return learner.answer_new(found.ends, weight, time_of_arrival(graph), features)
