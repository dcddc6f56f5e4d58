"""Elliptic: Bitcoin transactions by time step, no features, few of them known to be licit or illicit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from benchmarks.learning.stream import Stream, Turn, dataset
from service.replay.arrival_stream import batched
from service.replay.label_delay import delay_labels

DELAY = 1000
"""Arrivals between a transaction and its label."""
FIRST, USUAL = 116_529, 40_000
"""Where the usual part begins, and its transactions: steps 29 to 38 of 49, with enough of both classes."""


def elliptic(seed: int, size: int | None = None, *, first: int = FIRST, usual: int = USUAL, batch: int = 500) -> Stream:
    """Transactions in the order of their steps; those whose class is known are asked on arrival.

    Args:
        seed: is that of the students alone; the stream is as it happened.
        size: transactions at most; ``usual`` unless told otherwise.
        first: transactions that are left out at the start. No edge crosses a step, so none is missing.
        usual: transactions of the usual stream.
        batch: transactions a turn.
    """
    del seed
    transactions = dataset("elliptic_topology.npz")
    count = min(len(transactions) - first, size or usual)

    def turns() -> Iterator[Turn]:
        names = [None if label < 0 else transactions.classes[label] for label in transactions.labels.tolist()]
        arrivals = itertools.islice(transactions.arrivals(), first, first + count)
        for part in batched(delay_labels(arrivals, DELAY), batch):
            known = ((node, names[int(node)]) for node in part.nodes)
            yield Turn(part.events, tuple((node, name) for node, name in known if name is not None))

    return Stream(transactions.schema(), turns, first_part=round(0.3 * count / batch), score_from=500)
