"""Owner of the edge arrays: reserves space for the compiled loops, and keeps their memory in bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from olad_core.graph import kernels
from olad_core.graph.arrays import Float32s, Float64s, Int32s, Int64s, UInt8s, lengthened
from olad_core.graph.changes import Arcs, net_arcs
from olad_core.graph.columns import UPSERT_EDGE
from olad_core.graph.edge_arrays import EdgeList, Edges, Graph, Log, Operations, Queue, Slabs

_PER_EDGE = ("key", "time", "place_source", "place_target")
_PER_ROW, _PER_PLACE = ("offset", "length", "capacity"), ("neighbour", "weight")
FULLEST = 0.6
"""Load of the hash table at most."""
FEWEST = 1024
"""Smallest number of slots, of pool places and of log entries that memory is taken for."""


class EdgeStore:
    """Edges between rows, found by their ends in O(1), with each row's neighbours contiguous in memory.

    Below 100 bytes an undirected edge; every change costs amortised O(1) (an expiring edge O(log edges) once).
    """

    width: int = 0
    """Number of features of an edge."""

    def __init__(self, *, directed: bool, rows: int) -> None:
        self.directed = directed
        self._edges = _empty_edges(FEWEST)
        self.incoming = _empty_slabs(rows, FEWEST)
        self.outgoing = _empty_slabs(rows, FEWEST) if directed else self.incoming
        self.in_weight = np.zeros(rows)
        self.out_weight = np.zeros(rows) if directed else self.in_weight
        """Sum of the weights of every row's edges to others, up to the last :meth:`take_changes`."""
        self._queue: Queue | None = None
        self._log = _empty_log(FEWEST)

    @property
    def count(self) -> int:
        """Number of edges."""
        return self._pairs

    @property
    def _pairs(self) -> int:
        return int(self._edges.in_use[0])

    @property
    def _times(self) -> Float64s:
        """Of each edge, some of which may not be in use."""
        return self._edges.time[: self._pairs]

    @property
    def nbytes(self) -> int:
        """Bytes held for edges and adjacency."""
        slabs = (self.incoming, self.outgoing) if self.directed else (self.incoming,)
        held = [self._edges, *slabs] + ([self._queue] if self._queue is not None else [])
        return sum(array.nbytes for group in held for array in group)

    def reserve_rows(self, rows: int) -> None:
        """Reserve rows ``0 .. rows - 1``."""
        self.in_weight = lengthened(self.in_weight, rows)
        self.out_weight = lengthened(self.out_weight, rows) if self.directed else self.in_weight
        self.incoming = _with_rows(self.incoming, rows)
        self.outgoing = _with_rows(self.outgoing, rows) if self.directed else self.incoming

    def run(self, operations: Operations) -> Int64s:
        """Carry out a batch's operations in order.

        Returns:
            The places among the operations of removals of edges that were not there.
        """
        if not operations.kind.size:
            return np.empty(0, np.int64)
        self._reserve_edges(int(np.count_nonzero(operations.kind == UPSERT_EDGE)))
        absent: UInt8s = np.zeros(operations.kind.size, np.uint8)
        done = 0
        while done < operations.kind.size:
            done = kernels.run_operations(self._graph(), operations, done, absent)
            if done < operations.kind.size:
                self._reserve_log()
                if operations.kind[done] == UPSERT_EDGE:
                    self._reserve_places(int(operations.source[done]), int(operations.target[done]))
        return np.flatnonzero(absent)

    def edges(self, relation: int) -> EdgeList:
        """Every edge once, of this relation, by source, then target; undirected, the smaller row is the source."""
        return self._listed(np.argsort(self._edges.key[: self.count], kind="stable"), relation)

    def between(self, source: Int64s, target: Int64s, relation: int) -> EdgeList:
        """Those of the edges between pairs of rows that there are, each once, of this relation."""
        return self._listed(self._slots_between(source, target), relation)

    def due(self, before: float, most: int, relation: int) -> EdgeList:
        """The edges whose time is smaller than ``before``, of this relation; of more than ``most`` only so many."""
        slots = self._slots_of(self._keys_due(before, most))
        slots = slots[slots >= 0]
        return self._listed(slots[self._edges.time[slots] < before], relation)

    def stand_in(self, whole: EdgeStore, rows: Int64s, outside: int) -> tuple[Int64s, Int64s]:
        """Let one edge stand for all edges of a row that the whole graph has and this part of it has not.

        It has their weight together, and leads from or to the row ``outside``. It never leaves by age.

        Args:
            whole: the edges of the whole graph.
            rows: of the whole graph, of the first rows here.
            outside: a row without other edges.

        Returns:
            For how many edges into each row it stands, and for how many from it where edges are directed: ``[n]``.
        """
        own = np.arange(rows.size)
        into = whole.incoming.length[rows].astype(np.int64) - self.incoming.length[own]
        out = whole.outgoing.length[rows].astype(np.int64) - self.outgoing.length[own]
        missing_in = whole.in_weight[rows] - self.in_weight[own]
        missing_out = whole.out_weight[rows] - self.out_weight[own]
        self._stand_in(np.full(rows.size, outside), own, missing_in, into > 0)
        if not self.directed:
            return into, np.zeros_like(into)
        self._stand_in(own, np.full(rows.size, outside), missing_out, out > 0)
        return into, out

    def stands_in(self, rows: int, outside: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Into which of the first rows, and from which of them, an edge of :meth:`stand_in` leads."""
        own, other = np.arange(rows), np.full(rows, outside)
        if not self.directed:
            return self._slots_of((own << 32) | other) >= 0, np.zeros(rows, np.bool_)
        return self._slots_of((other << 32) | own) >= 0, self._slots_of((own << 32) | other) >= 0

    def insert(self, edges: EdgeList, whole: EdgeStore | None = None) -> None:  # noqa: ARG002 (where they have ids)
        """Insert edges, each once; no :meth:`take_changes` holds them.

        Args:
            edges: in the rows of this store.
            whole: that they are of, where they have ids.
        """
        self.run(upserts_of(edges))
        self.take_changes()

    def expire(self, before: float) -> int:
        """Remove the edges whose time is smaller than ``before``; their number."""
        removed = 0
        queue = self._tracked()
        while queue.size[0] > 0 and queue.time[0] < before:
            removed += kernels.run_expiry(self._graph(), before)
            self._reserve_log()
        return removed

    def set_times(self, time: float, *, only_later: bool = False) -> None:
        """Give every edge this time, or those of a later one."""
        times = self._times
        if only_later:
            np.minimum(times, time, out=times)
        else:
            times[:] = time
        # The queue is made of the times.
        self.track_ages(self._queue is not None)

    def track_ages(self, wanted: bool) -> None:
        """Keep the queue that :meth:`expire` needs, or give it up."""
        self._queue = None
        if wanted:
            self._tracked()

    def take_changes(self) -> Arcs:
        """Net change per arc since the last call."""
        size = int(self._log.size[0])
        if not size and self._log.key.size <= 2 * FEWEST:
            return _NO_ARCS
        columns = self._log.key[:size], self._log.before[:size], self._log.after[:size]
        arcs = net_arcs(*columns, directed=self.directed, equal=self.width > 0)
        if self.directed:
            kernels.reweigh_sources(self.outgoing, self.out_weight, arcs)
        self._log.size[0] = 0
        if self._log.key.size > 2 * max(size, FEWEST):
            self._log = _empty_log(max(size, FEWEST))
        return arcs

    def state(self, rows: int) -> dict[str, npt.NDArray[np.generic]]:
        """Everything that decides about the future, for the first ``rows`` rows; arrays in use, not copies of them."""
        count = self._pairs
        state: dict[str, npt.NDArray[np.generic]] = {"in_weight": self.in_weight[:rows]}
        if self.directed:
            state["out_weight"] = self.out_weight[:rows]
        for name in _PER_EDGE:
            state[f"edge_{name}"] = getattr(self._edges, name)[:count]
        for side, slabs in (("incoming", self.incoming), ("outgoing", self.outgoing)):
            if side == "incoming" or self.directed:
                state |= {f"{side}_{name}": getattr(slabs, name)[:rows] for name in _PER_ROW}
                state |= {f"{side}_{name}": getattr(slabs, name)[: slabs.used[0]] for name in _PER_PLACE}
                state |= {f"{side}_used": slabs.used, f"{side}_places": np.array(slabs.neighbour.size)}
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[np.generic]], *, directed: bool, rows: int) -> EdgeStore:
        """The inverse of :meth:`state`, with ``rows`` rows."""
        store = cls(directed=directed, rows=rows)
        count = state["edge_key"].size
        store._edges = _empty_edges(max(count, FEWEST))
        for name in _PER_EDGE:
            getattr(store._edges, name)[:count] = state[f"edge_{name}"]
        store._edges.in_use[0] = count
        kernels.fill_table(store._edges)
        store.in_weight[: state["in_weight"].size] = state["in_weight"]
        store.incoming = _slabs_from_state(state, "incoming", rows)
        store.outgoing = _slabs_from_state(state, "outgoing", rows) if directed else store.incoming
        if "out_weight" in state:
            store.out_weight[: state["out_weight"].size] = state["out_weight"]
        elif directed:
            kernels.sum_weights(store.outgoing, store.out_weight)
        return store

    def _listed(self, slots: Int64s, relation: int) -> EdgeList:
        used = self._edges
        source, target = used.key[slots] >> 32, used.key[slots] & 0xFFFFFFFF
        weight = self.outgoing.weight[self.outgoing.offset[source] + used.place_source[slots]]
        return EdgeList(
            source, target, weight, used.time[slots], np.full(slots.size, relation), np.full(slots.size, -1)
        )

    def _slots_of(self, key: Int64s) -> Int64s:
        """Slots of edges by their keys, -1 where there is no such edge."""
        slots = np.empty(key.size, np.int64)
        kernels.find_slots(self._edges, key, slots)
        return slots

    def _slots_between(self, source: Int64s, target: Int64s) -> Int64s:
        """Slots of those of the edges between pairs of rows that there are, each once."""
        if not self.directed:
            source, target = np.minimum(source, target), np.maximum(source, target)
        slots = self._slots_of(np.unique((source << 32) | target))
        return slots[slots >= 0]

    def _keys_due(self, before: float, most: int) -> Int64s:
        """Keys in the queue with times smaller than ``before``, each once; of more than ``most`` times only so many."""
        if self._queue is None:
            return np.empty(0, np.int64)
        found = np.empty(most, np.int64)
        return np.unique(self._queue.key[found[: kernels.find_due(self._queue, before, found)]])

    def _stand_in(self, source: Int64s, target: Int64s, weight: Float64s, wanted: npt.NDArray[np.bool_]) -> None:
        least, most = (float(bound) for bound in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))
        weights: Float32s = np.clip(weight[wanted], least, most).astype(np.float32)
        count, none = weights.size, np.full(weights.size, -1)
        self.insert(EdgeList(source[wanted], target[wanted], weights, np.full(count, math.inf), none, none))

    def _graph(self) -> Graph:
        queue = self._queue if self._queue is not None else _NO_QUEUE
        expiring = self._queue is not None
        return Graph(
            self._edges, self.outgoing, self.incoming, self.in_weight, queue, self._log, self.directed, expiring
        )

    def _reserve_edges(self, more: int) -> None:
        count = self._pairs
        if count + more > self._edges.key.size:
            slots = max(count + more, self._edges.key.size * 5 // 4)
            names = ("key", "time", "place_source", "place_target")
            self._edges = self._edges._replace(
                **{name: lengthened(getattr(self._edges, name), slots) for name in names}
            )
        if count + more > FULLEST * self._edges.table.size:
            self._edges = self._edges._replace(table=_empty_table(count + more))
            kernels.fill_table(self._edges)
        if self._queue is not None and self._queue.size[0] + more > self._queue.time.size:
            if self._queue.size[0] > 2 * self.count:
                self._queue = None
            self._queue = _with_entries(self._tracked(), more)

    def _tracked(self) -> Queue:
        """The queue; built from the edges where there is none."""
        if self._queue is None:
            count = self.count
            times, keys = self._edges.time[:count], self._edges.key[:count]
            order = np.lexsort((keys, times))
            self._queue = Queue(times[order], keys[order], np.array([count]))
        return self._queue

    def _reserve_log(self, more: int = 1) -> None:
        if self._log.size[0] + more > self._log.key.size:
            size = 2 * self._log.key.size
            key, before, after, used = self._log
            self._log = Log(lengthened(key, size), lengthened(before, size), lengthened(after, size), used)

    def _reserve_places(self, source: int, target: int) -> None:
        """Reserve space in the pools for one more neighbour of each of the two."""
        self.incoming = _with_places(self.incoming, source, target)
        self.outgoing = _with_places(self.outgoing, source, target) if self.directed else self.incoming


_NO_ARCS = Arcs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float32))
_NO_QUEUE = Queue(np.empty(0), np.empty(0, np.int64), np.zeros(1, np.int64))


def upserts_of(edges: EdgeList) -> Operations:
    """What makes these edges."""
    return Operations(
        kind=np.full(edges.source.size, UPSERT_EDGE, np.uint8),
        source=edges.source.astype(np.int32),
        target=edges.target.astype(np.int32),
        weight=edges.weight,
        time=edges.time,
    )


def _empty_table(entries: int) -> Int32s:
    return np.full(1 << math.ceil(math.log2(max(entries, FEWEST) / FULLEST)), -1, np.int32)


def _empty_edges(slots: int) -> Edges:
    return Edges(
        key=np.empty(slots, np.int64),
        time=np.empty(slots),
        place_source=np.empty(slots, np.int32),
        place_target=np.empty(slots, np.int32),
        table=_empty_table(slots),
        in_use=np.zeros(1, np.int64),
    )


def _empty_slabs(rows: int, places: int) -> Slabs:
    return Slabs(
        offset=np.zeros(rows, np.int64),
        length=np.zeros(rows, np.int32),
        capacity=np.zeros(rows, np.int32),
        # Zeros: places that nobody has written yet are part of the state.
        neighbour=np.zeros(places, np.int32),
        weight=np.zeros(places, np.float32),
        used=np.zeros(2, np.int64),
    )


def _empty_log(size: int) -> Log:
    return Log(np.empty(size, np.int64), np.empty(size, np.float32), np.empty(size, np.float32), np.zeros(1, np.int64))


def _with_entries(queue: Queue, more: int) -> Queue:
    size = max(int(queue.size[0]) + more, queue.time.size * 3 // 2)
    return Queue(lengthened(queue.time, size), lengthened(queue.key, size), queue.size)


def _with_rows(slabs: Slabs, rows: int) -> Slabs:
    return slabs._replace(
        offset=lengthened(slabs.offset, rows),
        length=lengthened(slabs.length, rows),
        capacity=lengthened(slabs.capacity, rows),
    )


def _with_places(slabs: Slabs, source: int, target: int) -> Slabs:
    """The slabs with space in the pool for one more neighbour of each of the two rows."""
    most = 2 * int(slabs.capacity[source]) + 2 * int(slabs.capacity[target]) + 2 * kernels.FIRST_CAPACITY
    used, given_up = (int(number) for number in slabs.used)
    pool = slabs.neighbour.size
    if used + most <= pool:
        return slabs
    rows = slabs.length.size
    # Moving all slabs costs the rows and the pool once: only worth it for as many given-up places.
    if 4 * given_up > pool and given_up > rows:
        moved = _empty_slabs(rows, (used - given_up) * 5 // 4 + most)
        kernels.move_slabs(slabs, moved, rows)
        return moved
    size = max(used + most, pool * 5 // 4)
    return slabs._replace(neighbour=lengthened(slabs.neighbour, size), weight=lengthened(slabs.weight, size))


def _slabs_from_state(state: Mapping[str, npt.NDArray[np.generic]], side: str, rows: int) -> Slabs:
    """Slabs as the state has them, every place the same."""
    slabs = _empty_slabs(rows, int(state[f"{side}_places"]))
    for name in (*_PER_ROW, *_PER_PLACE, "used"):
        values = state[f"{side}_{name}"]
        getattr(slabs, name)[: values.size] = values
    return slabs
