"""Actors that stand on one page: neighbours are mostly of other classes, and nodes arrive in any order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from benchmarks.learning.citations import some_labelled
from benchmarks.learning.stream import Stream, Turn, dataset
from service.replay.arrival_stream import batched
from service.replay.label_delay import delay_labels

DELAY = 500
"""Arrivals between an actor and its label."""


def actor(seed: int, size: int | None = None, *, share: float = 1.0, batch: int = 100) -> Stream:
    """Each actor is asked at its arrival.

    Args:
        seed: decides the order, and which actors are labelled.
        size: actors at most.
        share: of the actors that are ever labelled.
        batch: actors a turn.
    """
    actors = dataset("actor.npz")
    count = min(len(actors), size or len(actors))

    def turns() -> Iterator[Turn]:
        truth = [actors.classes[label] for label in actors.labels.tolist()]
        arrivals = itertools.islice(actors.arrivals(seed), count)
        for part in batched(delay_labels(some_labelled(arrivals, share, seed), DELAY), batch):
            yield Turn(part.events, tuple((node, truth[int(node)]) for node in part.nodes))

    return Stream(actors.schema(), turns, first_part=round(0.3 * count / batch), score_from=min(1000, count // 2))
