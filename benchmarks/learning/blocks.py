"""A block model that grows: each node links to earlier nodes of classes that its own class prefers. Nothing changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.learning.citations import some_labelled
from benchmarks.learning.generated import LINKS, REACH
from benchmarks.learning.stream import Stream, Turn
from olad_core.events import Event, GraphSchema, UpsertEdge, UpsertNode
from service.replay.arrival_stream import Arrival, batched
from service.replay.label_delay import delay_labels

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

USUAL_SIZE = 6000
"""Nodes of a generated stream, unless stated otherwise."""


@dataclass(frozen=True)
class Grown:
    """A graph in the order of its nodes' arrivals.

    Attributes:
        x: features ``[n, F]``.
        labels: true classes ``[n]``.
        links: for each node the earlier ones that it links to.
    """

    x: Floats
    labels: Ints
    links: Sequence[Sequence[int]]


def block_links(labels: Ints, preference: Floats, random: np.random.Generator) -> list[list[int]]:
    """Earlier nodes for each node, at most three, out of the thousand before it.

    Args:
        labels: classes ``[n]``.
        preference: ``[C, C + 1]``: probability that a link of a node of the class (row) goes to a node of a class
            (column), or anywhere (last column). Rows sum to one.
        random: source of the choices.
    """
    anywhere = preference.shape[1] - 1
    found: list[list[int]] = [[]]
    for node in range(1, len(labels)):
        first = max(0, node - REACH)
        wanted = random.choice(preference.shape[1], size=LINKS, p=preference[labels[node]])
        chosen = set()
        for kind in wanted.tolist():
            alike = np.flatnonzero(labels[first:node] == kind) + first if kind != anywhere else np.empty(0, np.int64)
            chosen.add(int(random.choice(alike if len(alike) else np.arange(first, node))))
        found.append(sorted(chosen))
    return found


def own_class(classes: int, homophily: float) -> Floats:
    """Preferences of links: this share goes to a node's own class, the others anywhere; see :func:`block_links`."""
    return np.hstack([np.eye(classes) * homophily, np.full((classes, 1), 1 - homophily)])


def around_means(labels: Ints, classes: int, features: int, distance: float, random: np.random.Generator) -> Floats:
    """Features ``[n, features]`` of deviation one around means of classes, at this distance from the origin."""
    means = random.normal(size=(classes, features))
    means = means * distance / np.linalg.norm(means, axis=1, keepdims=True)
    return np.asarray(means[labels] + random.normal(size=(len(labels), features)))


def as_stream(
    grown: Grown, seed: int, *, given: Ints | None = None, share: float = 0.3, delay: int = 100, batch: int = 50
) -> Stream:
    """A stream in which each node is asked at its arrival.

    Args:
        grown: the graph.
        seed: decides which nodes are ever labelled.
        given: classes ``[n]`` that labels name; None: the true ones. Scores are on the true ones.
        share: of the nodes that are ever labelled.
        delay: arrivals between a node and its label.
        batch: nodes a turn.
    """
    count = len(grown.labels)
    classes = int(grown.labels.max()) + 1
    names = tuple(f"class-{number}" for number in range(classes))
    known = grown.labels if given is None else given

    def arrivals() -> Iterator[Arrival]:
        for node in range(count):
            name = str(node)
            edges = (UpsertEdge(src=name, dst=str(other), ts=float(node)) for other in grown.links[node])
            events: tuple[Event, ...] = (UpsertNode(id=name, x=grown.x[node].tolist(), ts=float(node)), *edges)
            yield Arrival(events, name, (name, names[known[node]]))

    def turns() -> Iterator[Turn]:
        for part in batched(delay_labels(some_labelled(arrivals(), share, seed), delay), batch):
            yield Turn(part.events, tuple((node, names[grown.labels[int(node)]]) for node in part.nodes))

    return Stream(
        schema=GraphSchema(feature_width=grown.x.shape[1], classes=names),
        turns=turns,
        first_part=round(0.3 * count / batch),
        score_from=count // 10,
        window=max(count // 30, 1),
    )
