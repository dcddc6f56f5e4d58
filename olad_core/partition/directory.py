"""What a batch of events comes to in the whole graph, at a rank that knows a part of its nodes.

Whether an event is possible, and when it happens, depends on which nodes there are, on the ids that were removed
lately, and on the clock. The owners of the nodes that a batch names contribute what they know. Then every rank goes
through the whole batch and comes to the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.config import REMOVED_KEPT
from olad_core.graph import DynamicGraph
from olad_core.graph.arrays import Bools, Float64s, Int64s
from olad_core.graph.batch import Batch, intern_texts
from olad_core.graph.columns import LABEL_NODE, REMOVE_NODE, TASK_LABEL, UPSERT_NODE
from olad_core.graph.event_columns import EventColumns
from olad_core.graph.localise import Localiser
from olad_core.graph.node_ids import NodeIds
from olad_core.graph.text import pack
from olad_core.graph.text_loops import Slices
from olad_core.partition.exchange import Superstep, to_all
from olad_core.partition.placement import owners

KNOWN = np.dtype([("number", "<i8"), ("kind", "<i2")])
"""What the owner of a node contributes: the node's number, -1 where there is no such node, and that of its type."""


@dataclass(frozen=True)
class Settled:
    """A batch in the whole graph.

    Attributes:
        batch: whose rows mean nothing outside it.
        ids: that the batch names, each once, in the order in which they first stand there.
        owner: rank of each.
        number: of each id's node after the batch; -1 where there is none. A node's number is how many nodes were
            created before it.
        accepted: bool, one for each event.
        owner_of: int64 ``[n, 2]``, the owner of the node that each event names, or of both ends of its edge; else -1.
        time: float64, of each edge that an event makes or changes.
    """

    batch: Batch
    ids: Slices
    owner: Int64s
    number: Int64s
    accepted: Bools
    owner_of: Int64s
    time: Float64s


class Directory:
    """What every rank has of the whole graph: classes, removed ids that are remembered, and how many nodes came.

    It does not grow with the graph.

    Args:
        removed_kept: ids of removed nodes that are remembered.
    """

    def __init__(self, removed_kept: int = REMOVED_KEPT) -> None:
        self._nodes = NodeIds(removed_kept)
        self._localiser = Localiser()

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]], removed_kept: int = REMOVED_KEPT) -> Directory:
        """The directory whose :meth:`state` this was, or that of a graph with this state."""
        directory, (text, ends) = cls(removed_kept), pack([])
        without_nodes = {**state, "ids": text, "id_offsets": ends, "free_rows": np.empty(0, np.int64)}
        directory._nodes = NodeIds.from_state(without_nodes, removed_kept)
        return directory

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Everything, as arrays; between two batches. The same at all ranks."""
        self._nodes.begin_anew()
        return self._nodes.state()

    @property
    def classes(self) -> list[str]:
        """Class names in the order of their numbers."""
        return self._nodes.classes

    @property
    def arrivals(self) -> int:
        """Number of nodes ever created."""
        return self._nodes.arrivals

    def settle(
        self, events: EventColumns, time: float, graph: DynamicGraph, number: Int64s, rank: int, ranks: int
    ) -> Superstep[Settled]:
        """Settle a batch together with the other ranks.

        Args:
            events: the whole batch.
            time: seconds at which it arrived.
            graph: this rank's part, before the batch.
            number: of each row of it.
            rank: this one.
            ranks: how many there are.
        """
        nodes, columns = self._nodes, events.columns
        nodes.typed = bool(graph.node_types)
        if len(graph.classes) > len(nodes.classes):
            nodes.add_classes(graph.classes)
        texts = Slices(columns.text, columns.start, columns.length)
        places, interned = _id_places(events), intern_texts(events, nodes)
        named = interned[0][places]
        # Named in the order in which they first stand there.
        names, which = self._localiser(named[:0], named, nodes.arrays.row_of.size)
        first = np.empty(names.size, np.int64)
        first[which[::-1]] = np.arange(which.size)[::-1]
        at = places[first]
        ids = Slices(texts.text, texts.start[at], texts.length[at])
        owner = owners(ids, ranks)
        known = np.zeros(names.size, KNOWN)
        known[owner == rank] = _known(graph, number, _some(ids, owner == rank))
        received = yield to_all("node numbers", known[owner == rank], rank, ranks)
        for other, records in enumerate(received):
            if other != rank:
                known[owner == other] = records

        there = known["number"] >= 0
        nodes.enter(names[there], known["kind"][there], interned[0].size)
        before = nodes.arrivals
        batch = graph.settle(events, time, nodes, interned)
        rows = nodes.arrays.row_of[names].astype(np.int64)
        numbers = np.concatenate([known["number"][there], np.arange(before, nodes.arrivals), [-1]])
        # Rows are given out one after the other: those that were there, then those that were created. The last, -1, is
        # for none.
        after = numbers[rows]
        nodes.leave(names)

        accepted = np.ones(len(events), np.bool_)
        accepted[[rejection.index for rejection in batch.rejected]] = False
        owner_of = np.full(2 * len(events), -1, np.int64)
        owner_of[places] = owner[which]
        times = np.full(len(events), np.nan)
        times[batch.event_of] = batch.operations.time
        return Settled(batch, ids, owner, after, accepted, owner_of.reshape(-1, 2), times)


def _id_places(events: EventColumns) -> Int64s:
    """Places of the texts of a batch that are ids of nodes, ascending."""
    columns = events.columns
    of_ids = np.repeat(columns.kind != TASK_LABEL, 2)
    of_ids[1::2] &= ~np.isin(columns.kind, (UPSERT_NODE, LABEL_NODE, REMOVE_NODE))
    return np.flatnonzero(of_ids & (columns.length > 0))


def _some(ids: Slices, wanted: Bools) -> Slices:
    return Slices(ids.text, ids.start[wanted], ids.length[wanted])


def _known(graph: DynamicGraph, number: Int64s, ids: Slices) -> npt.NDArray[Any]:
    rows = graph.rows_of(ids)
    known = np.empty(rows.size, KNOWN)
    known["number"] = known["kind"] = -1
    there = rows >= 0
    known["number"][there] = number[rows[there]]
    known["kind"][there] = graph.kinds(rows[there])
    return known
