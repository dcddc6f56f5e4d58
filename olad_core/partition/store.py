"""A rank's part of the graph: the nodes that it owns with all their edges, and copies of the nodes at the other ends.

The part is a :class:`~olad_core.graph.DynamicGraph`. Copies of other ranks' nodes have rows in it, but neither features
nor labels, and only those of their edges that lead to or from owned nodes. One without edges is removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.config import MAX_CLASSES, REMOVED_KEPT
from olad_core.events import RemoveNode
from olad_core.graph import Changes, DynamicGraph, Neighbours
from olad_core.graph.arrays import Bools, Int16s, Int64s, lengthened
from olad_core.graph.batch import reject_absent
from olad_core.graph.changes import Rejection
from olad_core.graph.columns import LABEL_NODE, REMOVE_EDGE, REMOVE_NODE, TASK_LABEL, UPSERT_EDGE, UPSERT_NODE, Columns
from olad_core.graph.event_columns import EventColumns, columns_of
from olad_core.graph.text_table import slices_of
from olad_core.named_state import join_parts, take_part
from olad_core.partition.directory import Directory, Settled
from olad_core.partition.exchange import Superstep, to_all
from olad_core.partition.ordered import by_number, owners_of
from olad_core.partition.placement import owners
from olad_core.partition.places import OwnPlaces
from olad_core.partition.rows_by_number import RowsByNumber


@dataclass(frozen=True)
class PartChange:
    """What a batch did to a rank's part.

    Attributes:
        changes: of the part, copies of other ranks' nodes included.
        settled: the batch in the whole graph.
        rejected: events that were not possible in the whole graph, in order.
    """

    changes: Changes
    settled: Settled
    rejected: list[Rejection]


class PartitionStore:
    """The part of one rank, by the batches of the whole graph.

    Args:
        rank: this one.
        ranks: how many there are.
        graph: empty; remembers no removed ids.
        directory: what this rank has of the whole graph.

    Attributes:
        graph: the part.
        number: int64 ``[capacity]``, how many nodes of the whole graph were created before the node in a row.
        owner: int16 ``[capacity]``, the rank of the node in a row.
        places: of the owned rows.
    """

    def __init__(self, rank: int, ranks: int, graph: DynamicGraph, directory: Directory) -> None:
        self.rank, self.ranks = rank, ranks
        self.graph = graph
        self.number: Int64s = np.full(self.graph.capacity, -1, np.int64)
        self.owner: Int16s = np.full(self.graph.capacity, -1, np.int16)
        self._directory = directory
        self.places = OwnPlaces()
        self._rows = RowsByNumber()

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, npt.NDArray[Any]],
        rank: int,
        ranks: int,
        *,
        max_classes: int = MAX_CLASSES,
        removed_kept: int = REMOVED_KEPT,
    ) -> PartitionStore:
        """The part whose :meth:`state` this was.

        Args:
            state: the arrays.
            rank: that has taken the state, or that it was made for (:func:`~olad_core.partition.split.part_state`).
            ranks: how many there are.
            max_classes: classes that there may be.
            removed_kept: ids of removed nodes that are remembered.
        """
        graph = DynamicGraph.from_state(take_part(state, "graph"), max_classes=max_classes, removed_kept=0)
        store = cls(rank, ranks, graph, Directory.from_state(take_part(state, "directory"), removed_kept))
        rows, number = np.flatnonzero(graph.alive), state["number"]
        store.number[rows] = number[rows]
        store.owner[rows] = owners(slices_of(*graph.ids_bytes(rows)), ranks)
        store._rows.enter(rows, store.number)
        store.places.give(store.those_owned(rows), graph.capacity)
        return store

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that the part's future depends on, as arrays, between two batches. They may be those in use."""
        graph = self.graph.state()
        parts = {"graph": graph, "directory": self._directory.state()}
        return {"number": self.number[: len(graph["label"])], **join_parts(parts)}

    @property
    def count_of_edges(self) -> float:
        """Number of edges, those to other ranks' nodes counted as halves; pairs of nodes where edges have ids."""
        copies = np.flatnonzero(self.graph.alive & (self.owner != self.rank))
        directed = [rule.directed for rule in self.graph.relation_rules.values()]
        # What is not directed is seen from both ends, and so among the outgoing ones.
        across = self.graph.in_degrees(copies)[:, directed].sum() + self.graph.out_degree(copies).sum()
        return self.graph.num_edges - float(across) / 2

    @property
    def owned(self) -> Bools:
        """Whether each row holds a node that this rank owns: bool ``[capacity]``."""
        owned: Bools = (self.owner == self.rank) & self.graph.alive
        return owned

    @property
    def copies(self) -> int:
        """Number of copies of other ranks' nodes."""
        return int(np.count_nonzero(self.graph.alive & (self.owner != self.rank)))

    def those_owned(self, rows: Int64s) -> Int64s:
        """Those of some rows that hold nodes that this rank owns."""
        found: Int64s = rows[(self.owner[rows] == self.rank) & self.graph.alive[rows]]
        return found

    def apply(self, events: EventColumns, time: float) -> Superstep[PartChange]:
        """Apply what of a batch concerns this part.

        Args:
            events: the whole batch.
            time: seconds at which it arrived.
        """
        graph = self.graph
        settled = yield from self._directory.settle(events, time, graph, self.number, self.rank, self.ranks)
        batch = settled.batch
        graph.hold(batch.width, self._directory.classes, held=batch.width_held)
        kept = np.flatnonzero(self._concerned(events, settled))
        part = EventColumns(_some(events.columns, kept))
        part.columns.time[:] = np.nan
        own = graph.settle(part, time)
        # Where there is no copy of the other end, there is no edge.
        unknown = [each.index for each in own.rejected if each.op == "remove_edge"]
        own.operations.time[:] = settled.time[kept[own.event_of]]
        own = own._replace(
            clock=batch.clock, first_ts=batch.first_ts, width=batch.width, width_held=batch.width_held, rejected=[]
        )
        changes = graph.carry_out(part, own)
        absent = kept[[*unknown, *(each.index for each in changes.rejected)]]
        self._follow_rows(settled)
        self._sweep(changes, batch.clock.arrival)
        rejected = yield from self._rejected(events, settled, absent)
        return PartChange(changes, settled, rejected)

    def _rejected(self, events: EventColumns, settled: Settled, absent: Int64s) -> Superstep[list[Rejection]]:
        """The impossible events of a batch, removals of edges that no rank has among them.

        Args:
            events: the whole batch.
            settled: the same in the whole graph.
            absent: removals that concern this rank, of edges that it has not.
        """
        kind, batch = events.columns.kind, settled.batch
        if not (settled.accepted & (kind == REMOVE_EDGE)).any():
            return batch.rejected
        received = yield to_all("absent edges", absent, self.rank, self.ranks)
        count = np.zeros(len(events), np.int64)
        for other, records in enumerate(received):
            count[absent if other == self.rank else records] += 1
        first, second = settled.owner_of.T
        concerned = np.where(first < 0, self.ranks, 1 + (first != second))
        by_all = (count > 0) & (count == concerned)
        places = np.flatnonzero((batch.operations.kind == REMOVE_EDGE) & by_all[batch.event_of])
        return reject_absent(events, batch, places.tolist())

    def rows_of(self, numbers: Int64s) -> Int64s:
        """Rows of nodes by their numbers, of which there is each."""
        rows = self._rows.find(numbers, self.number)
        assert rows.min(initial=0) >= 0, "an owner sends a row to the ranks that have a copy"
        return rows

    @property
    def arrivals(self) -> int:
        """Number of nodes of the whole graph ever created."""
        return self._directory.arrivals

    def own_rows(self, numbers: Int64s) -> Int64s:
        """Rows of owned nodes by their numbers; -1 where there is none."""
        rows = self._rows.find(numbers, self.number)
        rows[self.owner[rows] != self.rank] = -1
        return rows

    def lowest(self) -> int:
        """The least number of an owned node; that of the next node where none is owned."""
        numbers = self.number[self.owned]
        return int(numbers.min()) if numbers.size else self.arrivals

    def in_neighbours(self, rows: Int64s) -> Neighbours:
        """All in-neighbours of owned rows, those of each type of edges by ascending number.

        That order is the same however many ranks there are, and whatever has happened before.
        """
        return by_number(self.graph.in_neighbours(rows), self.number)

    def readers(self, rows: Int64s) -> tuple[Int64s, Int64s]:
        """The other ranks that own out-neighbours of rows, as pairs of a row and a rank, each once, by ranks."""
        rows = self.graph.distinct(rows)
        rows = rows[self.owner[rows] == self.rank]
        reading = owners_of(self.graph.out_neighbours(rows), self.owner, self.ranks)
        reading[:, self.rank] = False
        ranks, at = np.nonzero(np.ascontiguousarray(reading.T))
        return rows[at], ranks

    def pairs(self, source: Int64s, target: Int64s) -> tuple[Int64s, Int64s]:
        """Owned sources of edges and the other ranks that own the targets, each pair once."""
        ranks = self.owner[target]
        wanted = (ranks != self.rank) & (self.owner[source] == self.rank)
        pairs = np.unique(source[wanted] * self.ranks + ranks[wanted])
        return pairs // self.ranks, pairs % self.ranks

    def _concerned(self, events: EventColumns, settled: Settled) -> Bools:
        """Which accepted events concern this part: bool ``[n]``."""
        kind, columns = events.columns.kind, events.columns
        first, second = (settled.owner_of[:, end] == self.rank for end in range(2))
        of_edges = np.isin(kind, (UPSERT_EDGE, REMOVE_EDGE))
        by_id = (kind == REMOVE_EDGE) & (columns.length[::2] == 0)  # whose edge it is is known to those who have it
        concerned = np.where(of_edges, first | second | by_id, first & np.isin(kind, (UPSERT_NODE, LABEL_NODE)))
        # There may be a copy of a removed node.
        concerned |= kind == REMOVE_NODE
        kept: Bools = settled.accepted & concerned & (kind != TASK_LABEL)
        return kept

    def _follow_rows(self, settled: Settled) -> None:
        """Set numbers and owners of the nodes that a batch names."""
        self.number = lengthened(self.number, self.graph.capacity, -1)
        self.owner = lengthened(self.owner, self.graph.capacity, -1)
        rows = self.graph.rows_of(settled.ids)
        here = rows >= 0
        rows, number, owner = rows[here], settled.number[here], settled.owner[here]
        self.number[rows], self.owner[rows] = number, owner
        self._rows.enter(rows, self.number)
        self.places.give(self.those_owned(rows), self.graph.capacity)

    def _sweep(self, changes: Changes, time: float) -> None:
        """Remove the copies that a batch has left without edges, and forget those of removed nodes."""
        graph = self.graph
        self._rows.remove(changes.removed_rows, self.number)
        self.places.take(changes.removed_rows)
        rows = graph.distinct(np.concatenate([changes.created, changes.edge_source, changes.edge_target]))
        rows = rows[graph.alive[rows] & (self.owner[rows] != self.rank)]
        rows = np.sort(rows[(graph.in_degree(rows) == 0) & (graph.out_degree(rows) == 0)])
        if not rows.size:
            return
        self._rows.remove(rows, self.number)
        removals = columns_of([RemoveNode(node) for node in graph.ids(rows)])
        graph.carry_out(removals, graph.settle(removals, time))


def _some(columns: Columns, kept: Int64s) -> Columns:
    """The columns of some events, whose texts and features stand where they stood."""
    both = np.repeat(2 * kept, 2)
    both[1::2] += 1
    one = {name: getattr(columns, name)[kept] for name in ("kind", "weight", "time", "form", "first", "width")}
    return columns._replace(
        start=columns.start[both],
        length=columns.length[both],
        types=np.ascontiguousarray(columns.types[:, kept]),
        **one,
    )
