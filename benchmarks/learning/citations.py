"""PubMed by year: papers arrive with their citations, labels follow for some of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.learning.stream import Stream, Turn, dataset
from service.replay.arrival_stream import Arrival, batched
from service.replay.label_delay import delay_labels

DELAY = 1000
"""Arrivals between a paper and its label."""


def pubmed(
    seed: int, size: int | None = None, *, share: float = 1.0, batch: int = 200, until_year: int | None = None
) -> Stream:
    """Papers in the order of their years, a share of which is ever labelled.

    Args:
        seed: decides which ones are labelled.
        size: papers at most.
        share: of the papers that are ever labelled.
        batch: papers a turn.
        until_year: the last year; settings are chosen on papers up to 1990.
    """
    papers = dataset("pubmed_temporal.npz")
    assert papers.node_time is not None, "the papers have years"
    count = len(papers) if until_year is None else int((papers.node_time <= until_year).sum())
    count = min(count, size or count)

    def turns() -> Iterator[Turn]:
        truth = {str(node): papers.classes[label] for node, label in enumerate(papers.labels.tolist())}
        arrivals = itertools.islice(papers.arrivals(), count)
        for part in batched(delay_labels(some_labelled(arrivals, share, seed), DELAY), batch):
            yield Turn(part.events, tuple((node, truth[node]) for node in part.nodes))

    return Stream(papers.schema(), turns, first_part=round(0.3 * count / batch), score_from=min(2000, count // 2))


def some_labelled(arrivals: Iterator[Arrival], share: float, seed: int) -> Iterator[Arrival]:
    """Leave only a share of the nodes with a class that becomes known."""
    random = np.random.default_rng([seed, 17])
    for arrival in arrivals:
        told = random.random() < share
        yield arrival if told else replace(arrival, truth=None)
