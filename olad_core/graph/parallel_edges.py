"""Edges that are kept one by one: those with ids, of which there may be many between two rows, and with features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from olad_core.graph import kernels
from olad_core.graph.arrays import Float32s, Float64s, Int32s, Int64s, UInt8s, lengthened
from olad_core.graph.columns import (
    DENSE,
    ID_LENGTH,
    ID_START,
    NO_FEATURES,
    REMOVE_NODE,
    UPSERT_EDGE,
    Columns,
    empty_columns,
)
from olad_core.graph.edge_arrays import GIVEN_UP, LIVING, EdgeList, Operations, Parallel, Queue
from olad_core.graph.edge_store import FEWEST, EdgeStore, upserts_of
from olad_core.graph.neighbours import Neighbours
from olad_core.graph.text import pack
from olad_core.graph.text_loops import Slices
from olad_core.graph.text_table import TextTable, slices_of

_PER_NUMBER = ("source", "target", "weight", "time", "following")


class ParallelEdges(EdgeStore):
    """An edge store whose edges have ids, features, or both.

    Neighbours see the edges of two rows as one edge with the sum of their weights and the mean of their features. An id
    has a number, that of its text. About 100 bytes an edge beside its id, its features, and its share of the two rows.

    Args:
        directed: whether edges are seen from their target only.
        rows: to reserve.
        width: number of features of an edge.
        named: whether edges have ids. Else there is one between two rows, and its id is made of both.
    """

    def __init__(self, *, directed: bool, rows: int, width: int = 0, named: bool = True) -> None:
        super().__init__(directed=directed, rows=rows)
        self.width, self.named = width, named
        self._ids = TextTable()
        self._held = _nothing_held(width)

    @property
    def count(self) -> int:
        """Number of edges."""
        return int(self._held.sizes[LIVING])

    @property
    def nbytes(self) -> int:
        """Bytes held for edges and adjacency, without the ids."""
        return super().nbytes + sum(array.nbytes for array in self._held)

    def run_events(self, operations: Operations, columns: Columns, event_of: Int32s) -> Int64s:
        """Carry out a batch's operations in order; ids and features are those of their events.

        Args:
            operations: on edges.
            columns: of the events.
            event_of: the event of each operation.

        Returns:
            The places among the operations of removals of edges that were not there.
        """
        if not self.named:
            operations = self._in_order(operations)
            return self.run_by_id(operations, _ids_of_pairs(operations), columns, event_of)
        start, length = columns.types[ID_START : ID_LENGTH + 1, event_of]
        return self.run_by_id(operations, Slices(columns.text, start, length.astype(np.int32)), columns, event_of)

    def run_by_id(self, operations: Operations, ids: Slices, columns: Columns, event_of: Int32s) -> Int64s:
        """The same with other ids; no text for the removal of a node."""
        absent: UInt8s = np.zeros(operations.kind.size, np.uint8)
        numbers, new = self._ids.intern(ids)
        self._reserve(int(np.count_nonzero(operations.kind == UPSERT_EDGE)))
        done = 0
        while done < numbers.size:
            done = kernels.run_parallel(self._graph(), self._held, operations, numbers, columns, event_of, done, absent)
            if done < numbers.size:
                self._reserve_notes()
                if operations.kind[done] == UPSERT_EDGE:
                    self._reserve_places(int(operations.source[done]), int(operations.target[done]))
        self._forget(new)
        return np.flatnonzero(absent)

    def features_of(self, numbers: Int64s) -> Float32s:
        """Features of edges: ``[n, width]``."""
        return self._held.x[numbers]

    def mean_features(self, rows: Int64s, near: Neighbours, number: int, found: Float32s) -> None:
        """Fill in the mean features of the edges of this type, which has this number, into ``[E, width]``."""
        turn = (number, near.types)
        kernels.mean_features(self._graph(), self._held, rows, near.index, near.groups, turn, found)

    def find(self, ids: Sequence[str]) -> Int64s:
        """Numbers of edges, -1 where there is no such edge."""
        numbers = self._ids.find(slices_of(*pack(ids)))
        known = np.flatnonzero(numbers >= 0)
        numbers[known[self._held.source[numbers[known]] < 0]] = -1
        return numbers

    def ends(self, numbers: Int64s, relation: int) -> EdgeList:
        """Ends, weights and times of edges, of this relation; rows of -1 for a number of -1."""
        held, known = self._held, numbers >= 0
        size, used = numbers.size, numbers[known]
        nowhere, weight = np.full((2, size), -1), np.zeros(size, np.float32)
        found = EdgeList(nowhere[0], nowhere[1], weight, np.zeros(size), np.full(size, relation), numbers)
        found.source[known], found.target[known] = held.source[used], held.target[used]
        found.weight[known], found.time[known] = held.weight[used], held.time[used]
        return found

    def numbers(self) -> Int64s:
        """Of all edges, by source, then target, then number."""
        used = np.flatnonzero(self._held.source >= 0)
        return used[np.lexsort((used, self._held.target[used], self._held.source[used]))]

    def ids_of(self, numbers: Int64s) -> tuple[UInt8s, Int64s]:
        """UTF-8 bytes of the ids of edges, one after the other, and where each begins and the last one ends."""
        return self._ids.bytes_of(numbers)

    def edges(self, relation: int) -> EdgeList:
        """Every edge, of this relation, by source, then target, as they were sent."""
        return self.ends(self.numbers(), relation)

    def between(self, source: Int64s, target: Int64s, relation: int) -> EdgeList:
        """All edges between pairs of rows, of this relation."""
        parts, at = [np.empty(0, np.int64)], self._held.head[self._slots_between(source, target)]
        while at.size:
            parts.append(at.astype(np.int64))
            at = self._held.following[at]
            at = at[at >= 0]
        return self.ends(np.concatenate(parts), relation)

    def due(self, before: float, most: int, relation: int) -> EdgeList:
        """The edges whose time is smaller than ``before``, of this relation; of more than ``most`` only so many."""
        numbers = self._keys_due(before, most)
        return self.ends(numbers[(self._held.source[numbers] >= 0) & (self._held.time[numbers] < before)], relation)

    def insert(self, edges: EdgeList, whole: EdgeStore | None = None) -> None:
        """Insert edges, each once, with ids of their own or with those that they have in the ``whole`` graph.

        No :meth:`take_changes` holds them.
        """
        if isinstance(whole, ParallelEdges):
            self._insert(edges, slices_of(*whole.ids_of(edges.number)), whole.features_of(edges.number))
            return
        # A byte that is in no UTF-8, so that no event names them.
        own = b"".join(b"\xff%08d" % (self.count + place) for place in range(edges.source.size))
        ids = slices_of(np.frombuffer(own, np.uint8), 9 * np.arange(edges.source.size + 1))
        self._insert(edges, ids, np.empty((0, self.width), np.float32))

    def insert_featured(self, edges: EdgeList, features: Float32s) -> None:
        """Insert edges without ids, each once, with their features ``[n, width]``; none is held as a change."""
        assert not self.named, "edges have ids"
        self._insert(edges, slices_of(np.empty(0, np.uint8), np.zeros(1, np.int64)), features)

    def _insert(self, edges: EdgeList, ids: Slices, features: Float32s) -> None:
        count, operations = edges.source.size, upserts_of(edges)
        if not self.named:
            operations = self._in_order(operations)
            ids = _ids_of_pairs(operations)
        columns = empty_columns(np.empty(0, np.uint8), count, 0)._replace(value=features.ravel())
        columns.form[:] = DENSE if len(features) else NO_FEATURES
        columns.width[:] = self.width
        columns.first[:] = self.width * np.arange(count)
        self.run_by_id(operations, ids, columns, np.arange(count, dtype=np.int32))
        self.take_changes()

    def expire(self, before: float) -> int:
        """Remove the edges whose time is smaller than ``before``; their number."""
        removed, queue = 0, self._tracked()
        while queue.size[0] > 0 and queue.time[0] < before:
            removed += kernels.run_expiry_of_parallel(self._graph(), self._held, before)
            self._reserve_notes()
        if removed:
            self._forget(np.empty(0, np.int64))
        return removed

    def state(self, rows: int) -> dict[str, npt.NDArray[np.generic]]:
        """Everything that decides about the future, for the first ``rows`` rows; arrays in use, not copies of them."""
        end, pairs = self._ids.end, self._pairs
        text, offsets = self._ids.bytes_of(np.arange(end))
        return {
            **super().state(rows),
            "parallel_ids": text,
            "parallel_id_offsets": offsets,
            "parallel_free": self._ids.free,
            **{f"parallel_{name}": getattr(self._held, name)[:end] for name in _PER_NUMBER},
            "parallel_head": self._held.head[:pairs],
            "parallel_total": self._held.total[:pairs],
            **({"parallel_x": self._held.x[:end]} if self.width else {}),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[np.generic]], *, directed: bool, rows: int) -> ParallelEdges:
        """The inverse of :meth:`state`, with ``rows`` rows."""
        store = super().from_state(state, directed=directed, rows=rows)
        assert isinstance(store, ParallelEdges)
        offsets = state["parallel_id_offsets"].astype(np.int64)
        text, free = state["parallel_ids"].astype(np.uint8), state["parallel_free"].astype(np.int64)
        store._ids = TextTable.of(slices_of(text, offsets), free)
        store._reserve(0)
        store.width = int(state["parallel_x"].shape[1]) if "parallel_x" in state else 0
        shape = store._held.source.size, store.width
        store._held = store._held._replace(x=np.zeros(shape, np.float32), entering=np.zeros(shape, np.float32))
        held = store._held
        for name in (*_PER_NUMBER, "head", "total", *(["x"] if store.width else [])):
            values = state[f"parallel_{name}"]
            getattr(held, name)[: len(values)] = values
        kernels.enter_features(held)
        after = np.flatnonzero((held.source >= 0) & (held.following >= 0))
        held.preceding[held.following[after]] = after
        held.sizes[LIVING] = np.count_nonzero(held.source >= 0)
        return store

    @property
    def _times(self) -> Float64s:
        return self._held.time

    def _tracked(self) -> Queue:
        if self._queue is None:
            used = np.flatnonzero(self._held.source >= 0)
            order = np.lexsort((used, self._held.time[used]))
            self._queue = Queue(self._held.time[used][order], used[order], np.array([used.size]))
        return self._queue

    def _reserve(self, more: int) -> None:
        """Reserve space for so many more edges, and for every number that there may be."""
        self._reserve_edges(more)
        held, numbers, slots = self._held, self._ids.capacity, self._edges.key.size
        self._held = held._replace(
            **{
                name: lengthened(getattr(held, name), numbers) for name in ("target", "weight", "time", "x", "entering")
            },
            **{name: lengthened(getattr(held, name), numbers, -1) for name in ("source", "following", "preceding")},
            head=lengthened(held.head, slots),
            total=lengthened(held.total, slots),
        )

    def _in_order(self, operations: Operations) -> Operations:
        """The same, each from the smaller row where edges are undirected."""
        if self.directed:
            return operations
        source, target = operations.source, operations.target
        return operations._replace(source=np.minimum(source, target), target=np.maximum(source, target))

    def _reserve_notes(self) -> None:
        """Reserve space to note what leaves and changes."""
        self._reserve_log(2)
        held, noted = self._held, int(self._held.sizes[GIVEN_UP])
        if noted == held.given_up.size:
            self._held = held._replace(given_up=lengthened(held.given_up, 2 * noted))

    def _forget(self, new: Int64s) -> None:
        """Give up the numbers of edges that have left, and of ids that were new and name no edge."""
        held = self._held
        noted = held.given_up[: held.sizes[GIVEN_UP]].astype(np.int64)
        unused = np.concatenate([new, noted])
        self._ids.erase(unused[held.source[unused] < 0])
        held.sizes[GIVEN_UP] = 0
        if held.given_up.size > 2 * FEWEST:
            self._held = held._replace(given_up=np.empty(FEWEST, np.int32))


def _ids_of_pairs(operations: Operations) -> Slices:
    """Ids of edges that have none of their own: both rows in hexadecimal digits."""
    ends = np.stack([operations.source, operations.target], axis=1).astype(np.int64)
    digits = (ends[:, :, None] >> (4 * np.arange(7, -1, -1))) & 15
    text = np.frombuffer(b"0123456789abcdef", np.uint8)[digits].ravel()
    length = np.where(operations.kind == REMOVE_NODE, 0, 16).astype(np.int32)
    text.flags.writeable = False
    return Slices(text, 16 * np.arange(operations.kind.size), length)


def _nothing_held(width: int) -> Parallel:
    return Parallel(
        source=np.empty(0, np.int32),
        target=np.empty(0, np.int32),
        weight=np.empty(0, np.float32),
        time=np.empty(0),
        following=np.empty(0, np.int32),
        preceding=np.empty(0, np.int32),
        head=np.empty(0, np.int32),
        total=np.empty(0),
        x=np.empty((0, width), np.float32),
        entering=np.empty((0, width), np.float32),
        given_up=np.empty(FEWEST, np.int32),
        sizes=np.zeros(2, np.int64),
    )
