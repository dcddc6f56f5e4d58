"""Arrivals, and the batches in which they are sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from olad_core.errors import OladError
from olad_core.events import MAX_EVENTS, Event, LabelNode

BATCH_BYTES = 4 * 2**20
"""Bytes of JSON in one batch at most: a quarter of what the service takes, for many pieces hold nobody up."""


class UnreadableDataset(OladError, ValueError):
    """A dataset that cannot be turned into events; the message names the source and what is wrong in it."""


@dataclass(frozen=True)
class Arrival:
    """What becomes known at one moment.

    Attributes:
        events: the events in order; a node's own event stands before its edges.
        node: the node that arrives with them; None where only edges or labels of older nodes do.
        truth: node and class that the sender knows from now on, for scoring.
        edge: whether the edge among them is an arrival, which counts as a node does.
        label: of this edge, or the value of this node, without a time; it is sent when it is due.
    """

    events: tuple[Event, ...]
    node: str | None = None
    truth: tuple[str, str] | None = None
    edge: bool = False
    label: LabelNode | None = None

    @property
    def counts(self) -> bool:
        """Whether a node or an edge arrives."""
        return self.node is not None or self.edge


@dataclass(frozen=True)
class Batch:
    """The events of one POST, the nodes that arrive in it and the classes known from then on.

    ``came_at`` has the seconds at which it came, where it came before; None where it comes now.
    """

    events: tuple[Event, ...]
    nodes: tuple[str, ...]
    truths: tuple[tuple[str, str], ...]
    came_at: float | None = None


def batched(
    arrivals: Iterable[Arrival], nodes: int, events: int = MAX_EVENTS, size: int = BATCH_BYTES
) -> Iterator[Batch]:
    """Group arrivals into batches of at most ``nodes`` arrivals, ``events`` events and ``size`` bytes of JSON.

    A node and the edges that come with it stay in one batch; only an arrival that is larger than a whole batch is
    cut. An event that is larger alone goes alone. Edges that do not count as arrivals join the batch before them.

    >>> from olad_core.events import UpsertNode
    >>> [batch.nodes for batch in batched([Arrival((UpsertNode(id=name),), name) for name in "abc"], nodes=2)]
    [('a', 'b'), ('c',)]
    """
    held: list[Event] = []
    arrived: list[str] = []
    truths: list[tuple[str, str]] = []
    used = counted = 0

    def taken() -> Batch:
        batch = Batch(tuple(held), tuple(arrived), tuple(truths))
        for part in (held, arrived, truths):
            part.clear()
        return batch

    for arrival in arrivals:
        sizes = [len(msgspec.json.encode(event)) + 1 for event in arrival.events]
        full = arrival.counts and counted >= nodes
        if held and (full or len(held) + len(sizes) > events or used + sum(sizes) > size):
            yield taken()
            used = counted = 0
        counted += arrival.counts
        if arrival.node is not None:
            arrived.append(arrival.node)
        if arrival.truth is not None:
            truths.append(arrival.truth)
        for event, more in zip(arrival.events, sizes, strict=True):
            if held and (len(held) >= events or used + more > size):
                yield taken()
                used = counted = 0
            held.append(event)
            used += more
    if held:
        yield taken()
