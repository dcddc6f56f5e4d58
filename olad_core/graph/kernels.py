"""The compiled loops over edges: hash index, adjacency slabs, expiry queue, and the run through a batch's operations.

Arrays travel in named tuples (:mod:`olad_core.graph.edge_arrays`). A one-element array stands for a number that a loop
changes. Nothing here allocates: a loop that runs out of space returns, the caller (:mod:`olad_core.graph.edge_store`)
reserves more and goes on.

An edge's key is ``source << 32 | target``; in an undirected graph the smaller row comes first.
"""

from __future__ import annotations

import numpy as np

from olad_core.graph.arrays import Float32s, Float64s, Int32s, Int64s, Integer, Number, UInt8s
from olad_core.graph.changes import Arcs
from olad_core.graph.columns import DENSE, NO_FEATURES, REMOVE_EDGE, SPARSE, UPSERT_EDGE, Columns
from olad_core.graph.compiled import AHEAD, compiled, prefetch
from olad_core.graph.edge_arrays import GIVEN_UP, LIVING, Edges, Graph, Log, Operations, Parallel, Queue, Slabs

FIRST_CAPACITY = 4
"""Places in a node's first slab."""
CANCELLATION = 2.0**-12
"""A sum that falls to less than this part of itself has lost digits and is summed anew."""


@compiled
def _home(key: Integer, mask: Integer) -> Integer:
    mixed = np.uint64(key)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    return np.int64(mixed & np.uint64(mask))


@compiled
def _find(edges: Edges, key: Integer) -> Integer:
    """Place of the key in the hash table, -1 where it is not."""
    mask = edges.table.size - 1
    at = _home(key, mask)
    while edges.table[at] >= 0:
        if edges.key[edges.table[at]] == key:
            return at
        at = (at + 1) & mask
    return -1


@compiled
def _enter(edges: Edges, slot: Integer) -> None:
    mask = edges.table.size - 1
    at = _home(edges.key[slot], mask)
    while edges.table[at] >= 0:
        at = (at + 1) & mask
    edges.table[at] = slot


@compiled
def _erase(edges: Edges, hole: Integer) -> None:
    """Free a place of the hash table, moving back the entries that were pushed on by it."""
    mask = edges.table.size - 1
    at = (hole + 1) & mask
    while edges.table[at] >= 0:
        home = _home(edges.key[edges.table[at]], mask)
        if ((at - home) & mask) >= ((at - hole) & mask):
            edges.table[hole] = edges.table[at]
            hole = at
        at = (at + 1) & mask
    edges.table[hole] = -1


@compiled
def find_slots(edges: Edges, key: Int64s, slots: Int64s) -> None:
    """Find the slots of edges by their keys, -1 where there is no such edge."""
    for at in range(key.size):
        place = _find(edges, key[at])
        slots[at] = edges.table[place] if place >= 0 else -1


@compiled
def fill_table(edges: Edges) -> None:
    """Enter every edge into an empty hash table."""
    for slot in range(edges.in_use[0]):
        _enter(edges, slot)


@compiled
def _growth(slabs: Slabs, row: Integer) -> Integer:
    """Places of the pool that one more neighbour of this row takes."""
    if slabs.length[row] < slabs.capacity[row]:
        return 0
    return np.int64(2 * np.int64(slabs.capacity[row]) if slabs.capacity[row] > 0 else FIRST_CAPACITY)


@compiled
def _append(slabs: Slabs, row: Integer, neighbour: Integer, weight: Number) -> Integer:
    """Add a neighbour, in a larger slab if need be; its place in the slab. The pool must have space for it."""
    growth = _growth(slabs, row)
    if growth > 0:
        start, old = slabs.used[0], slabs.offset[row]
        for place in range(slabs.length[row]):
            slabs.neighbour[start + place] = slabs.neighbour[old + place]
            slabs.weight[start + place] = slabs.weight[old + place]
        slabs.used[0] += growth
        slabs.used[1] += slabs.capacity[row]
        slabs.offset[row] = start
        slabs.capacity[row] = growth
    end = np.int64(slabs.length[row])
    slabs.neighbour[slabs.offset[row] + end] = neighbour
    slabs.weight[slabs.offset[row] + end] = weight
    slabs.length[row] += 1
    return end


@compiled
def _take_out(graph: Graph, slabs: Slabs, row: Integer, place: Integer, as_source: bool) -> None:
    """Take a neighbour out of a slab; the last one moves into its place, and its edge learns of it."""
    last = slabs.length[row] - 1
    slabs.length[row] = last
    if place == last:
        return
    offset = slabs.offset[row]
    moved = np.int64(slabs.neighbour[offset + last])
    slabs.neighbour[offset + place] = moved
    slabs.weight[offset + place] = slabs.weight[offset + last]
    source, target = (row, moved) if as_source else (moved, row)
    if not graph.directed and source > target:
        source, target = target, source
    slot = graph.edges.table[_find(graph.edges, (source << 32) | target)]
    if as_source if graph.directed else row == source:
        graph.edges.place_source[slot] = place
    if not as_source if graph.directed else row == target:
        graph.edges.place_target[slot] = place


@compiled
def _total(slabs: Slabs, row: Integer) -> Number:
    total = 0.0
    for place in range(slabs.offset[row], slabs.offset[row] + slabs.length[row]):
        total += slabs.weight[place]
    return total


@compiled
def _reweigh(graph: Graph, row: Integer, before: Number, after: Number) -> None:
    """Bring the row's sum of weights up to date, the slab being so already."""
    slabs = graph.incoming
    total = graph.in_weight[row] - before + after
    if slabs.length[row] == 0:
        total = 0.0
    elif total < graph.in_weight[row] * CANCELLATION:
        total = _total(slabs, row)
    graph.in_weight[row] = total


@compiled
def sum_weights(slabs: Slabs, totals: Float64s) -> None:
    """Sum the weights in the slab of every row."""
    for row in range(slabs.length.size):
        totals[row] = _total(slabs, row)


@compiled
def reweigh_sources(outgoing: Slabs, totals: Float64s, arcs: Arcs) -> None:
    """Bring the rows' sums of the weights of their edges to others up to date, the slabs being so already."""
    summed: Integer = -1
    for at in range(arcs.source.size):
        row = arcs.source[at]
        if row == summed:  # from its slab, where the rest of its arcs are in
            continue
        was = totals[row]
        total = was - arcs.before[at] + arcs.after[at]
        if outgoing.length[row] == 0:
            total = 0.0
        elif total < was * CANCELLATION:
            total = _total(outgoing, row)
            summed = row
        totals[row] = total


@compiled
def _record(log: Log, key: Integer, before: Number, after: Number) -> None:
    at = log.size[0]
    log.key[at] = key
    log.before[at] = before
    log.after[at] = after
    log.size[0] = at + 1


@compiled
def _earlier(queue: Queue, left: Integer, right: Integer) -> bool:
    if queue.time[left] != queue.time[right]:
        return bool(queue.time[left] < queue.time[right])
    return bool(queue.key[left] < queue.key[right])


@compiled
def _swap(queue: Queue, left: Integer, right: Integer) -> None:
    queue.time[left], queue.time[right] = queue.time[right], queue.time[left]
    queue.key[left], queue.key[right] = queue.key[right], queue.key[left]


@compiled
def _push(queue: Queue, time: Number, key: Integer) -> None:
    at = queue.size[0]
    queue.time[at] = time
    queue.key[at] = key
    queue.size[0] = at + 1
    while at > 0 and _earlier(queue, at, (at - 1) >> 1):
        _swap(queue, at, (at - 1) >> 1)
        at = (at - 1) >> 1


@compiled
def _pop(queue: Queue) -> None:
    size = queue.size[0] - 1
    _swap(queue, 0, size)
    queue.size[0] = size
    at = 0
    while True:
        least = at
        for child in range(2 * at + 1, min(2 * at + 3, size)):
            if _earlier(queue, child, least):
                least = child
        if least == at:
            return
        _swap(queue, at, least)
        at = least


@compiled
def _insert(graph: Graph, key: Integer, weight: Number, time: Number) -> None:
    edges, source, target = graph.edges, key >> 32, key & 0xFFFFFFFF
    slot = edges.in_use[0]
    edges.in_use[0] = slot + 1
    edges.key[slot] = key
    edges.time[slot] = time
    _enter(edges, slot)
    place = _append(graph.outgoing, source, target, weight)
    edges.place_source[slot] = place
    if graph.directed or source != target:
        place = _append(graph.incoming, target, source, weight)
    edges.place_target[slot] = place
    graph.in_weight[target] += weight
    if not graph.directed and source != target:
        graph.in_weight[source] += weight
    _record(graph.log, key, 0.0, weight)


@compiled
def _update(graph: Graph, slot: Integer, weight: Number) -> None:
    edges, outgoing, incoming = graph.edges, graph.outgoing, graph.incoming
    key = edges.key[slot]
    source, target = key >> 32, key & 0xFFFFFFFF
    at = outgoing.offset[source] + edges.place_source[slot]
    before = outgoing.weight[at]
    if np.isnan(weight) or weight == before:
        return
    outgoing.weight[at] = weight
    incoming.weight[incoming.offset[target] + edges.place_target[slot]] = weight
    _reweigh(graph, target, before, weight)
    if not graph.directed and source != target:
        _reweigh(graph, source, before, weight)
    _record(graph.log, key, before, weight)


@compiled
def _remove(graph: Graph, at: Integer) -> None:
    """Remove the edge at this place of the hash table."""
    edges = graph.edges
    slot = np.int64(edges.table[at])
    key = edges.key[slot]
    source, target = key >> 32, key & 0xFFFFFFFF
    weight = graph.outgoing.weight[graph.outgoing.offset[source] + edges.place_source[slot]]
    _take_out(graph, graph.outgoing, source, edges.place_source[slot], True)
    if graph.directed or source != target:
        _take_out(graph, graph.incoming, target, edges.place_target[slot], False)
    _erase(edges, at)
    last = edges.in_use[0] - 1
    edges.in_use[0] = last
    if slot != last:
        edges.table[_find(edges, edges.key[last])] = slot
        edges.key[slot] = edges.key[last]
        edges.time[slot] = edges.time[last]
        edges.place_source[slot] = edges.place_source[last]
        edges.place_target[slot] = edges.place_target[last]
    _reweigh(graph, target, weight, 0.0)
    if not graph.directed and source != target:
        _reweigh(graph, source, weight, 0.0)
    _record(graph.log, key, weight, 0.0)


@compiled
def _key(graph: Graph, source: Integer, target: Integer) -> Integer:
    if not graph.directed and source > target:
        source, target = target, source
    return (np.int64(source) << 32) | np.int64(target)


@compiled
def _has_places(graph: Graph, key: Integer) -> bool:
    """Whether the pools have space for a new edge."""
    out_growth, in_growth = _growth(graph.outgoing, key >> 32), _growth(graph.incoming, key & 0xFFFFFFFF)
    if not graph.directed:
        out_growth = in_growth = out_growth + in_growth
    return bool(
        graph.outgoing.used[0] + out_growth <= graph.outgoing.neighbour.size
        and graph.incoming.used[0] + in_growth <= graph.incoming.neighbour.size
    )


@compiled
def _upsert(graph: Graph, source: Integer, target: Integer, weight: Number, time: Number) -> bool:
    """Create or update an edge; False, with nothing done, where a pool is too small."""
    key = _key(graph, source, target)
    at = _find(graph.edges, key)
    slot = np.int64(graph.edges.table[at]) if at >= 0 else np.int64(-1)
    if slot >= 0:
        _update(graph, slot, weight)
        if graph.edges.time[slot] == time:
            return True
        graph.edges.time[slot] = time
    else:
        if not _has_places(graph, key):
            return False
        _insert(graph, key, np.float32(1.0) if np.isnan(weight) else weight, time)
    if graph.expiring:
        _push(graph.queue, time, key)
    return True


@compiled
def _strip(graph: Graph, slabs: Slabs, row: Integer, as_source: bool) -> bool:
    """Remove all edges in the row's slab and the slab; False where the log was full before the end."""
    while slabs.length[row] > 0:
        if graph.log.size[0] == graph.log.key.size:
            return False
        other = slabs.neighbour[slabs.offset[row] + slabs.length[row] - 1]
        key = _key(graph, row, other) if as_source else _key(graph, other, row)
        _remove(graph, _find(graph.edges, key))
    slabs.used[1] += slabs.capacity[row]
    slabs.capacity[row] = 0
    return True


@compiled
def _call_ends(graph: Graph, source: Integer, target: Integer) -> None:
    """Have the cache fetch where an edge's place in the hash table is, and the offsets of its ends' slabs."""
    prefetch(graph.edges.table, _home(_key(graph, source, target), graph.edges.table.size - 1))
    prefetch(graph.outgoing.offset, source)
    prefetch(graph.outgoing.length, source)
    prefetch(graph.outgoing.capacity, source)
    prefetch(graph.incoming.offset, target)
    prefetch(graph.incoming.length, target)
    prefetch(graph.incoming.capacity, target)
    prefetch(graph.in_weight, target)


@compiled
def _call_slabs(graph: Graph, source: Integer, target: Integer) -> None:
    """Have the cache fetch an edge's slot, most probably its own, and its ends' slabs."""
    edges, outgoing, incoming = graph.edges, graph.outgoing, graph.incoming
    slot = edges.table[_home(_key(graph, source, target), edges.table.size - 1)]
    if slot >= 0:
        prefetch(edges.key, slot)
        prefetch(edges.time, slot)
        prefetch(edges.place_source, slot)
        prefetch(edges.place_target, slot)
    prefetch(outgoing.neighbour, outgoing.offset[source])
    prefetch(outgoing.weight, outgoing.offset[source])
    prefetch(incoming.neighbour, incoming.offset[target])
    prefetch(incoming.weight, incoming.offset[target])


@compiled
def run_operations(graph: Graph, operations: Operations, start: Integer, absent: UInt8s) -> int:
    """Carry out the operations from ``start`` on, one after the other.

    Returns:
        The operation to go on with once there is more space; the number of operations when all are done. ``absent``
        is set to 1 for every removal of an edge that was not there.
    """
    last = operations.kind.size - 1
    for at in range(start, operations.kind.size):
        later, soon = min(at + 2 * AHEAD, last), min(at + AHEAD, last)
        _call_ends(graph, np.int64(operations.source[later]), np.int64(operations.target[later]))
        _call_slabs(graph, np.int64(operations.source[soon]), np.int64(operations.target[soon]))
        if graph.log.size[0] == graph.log.key.size:
            return at
        kind = operations.kind[at]
        source, target = np.int64(operations.source[at]), np.int64(operations.target[at])
        if kind == UPSERT_EDGE:
            if not _upsert(graph, source, target, operations.weight[at], operations.time[at]):
                return at
        elif kind == REMOVE_EDGE:
            place = _find(graph.edges, _key(graph, source, target))
            if place >= 0:
                _remove(graph, place)
            else:
                absent[at] = 1
        elif not _strip(graph, graph.incoming, source, False) or not _strip(graph, graph.outgoing, source, True):
            return at
    return operations.kind.size


@compiled
def find_due(queue: Queue, before: Number, found: Int64s) -> int:
    """Find the places of the queue's entries before a time; how many there are, ``found.size`` where more may be."""
    count = 0
    if queue.size[0] > 0 and queue.time[0] < before and found.size > 0:
        found[0] = 0
        count = 1
    at = 0
    while at < count:
        for child in range(2 * found[at] + 1, min(2 * found[at] + 3, queue.size[0])):
            if queue.time[child] < before:
                if count == found.size:
                    return count
                found[count] = child
                count += 1
        at += 1
    return count


@compiled
def run_expiry(graph: Graph, before: Number) -> int:
    """Remove the edges older than ``before``, oldest first, until none is left or the log is full; their number."""
    removed = 0
    queue = graph.queue
    while queue.size[0] > 0 and queue.time[0] < before and graph.log.size[0] < graph.log.key.size:
        time, key = queue.time[0], queue.key[0]
        _pop(queue)
        at = _find(graph.edges, key)
        if at >= 0 and graph.edges.time[graph.edges.table[at]] == time:
            _remove(graph, at)
            removed += 1
    return removed


@compiled
def move_slabs(old: Slabs, new: Slabs, rows: Integer) -> None:
    """Copy the slabs of the first rows into an empty pool, each with the smallest capacity that holds it."""
    end = new.used[0]
    for row in range(rows):
        length = np.int64(old.length[row])
        capacity = np.int64(0 if length == 0 else FIRST_CAPACITY)
        while capacity < length:
            capacity *= 2
        for place in range(length):
            new.neighbour[end + place] = old.neighbour[old.offset[row] + place]
            new.weight[end + place] = old.weight[old.offset[row] + place]
        new.offset[row] = end
        new.length[row] = length
        new.capacity[row] = capacity
        end += capacity
    new.used[0] = end


@compiled
def _sum_parallel(held: Parallel, slot: Integer) -> Number:
    """Sum of the weights of a pair's edges."""
    total, at = 0.0, np.int64(held.head[slot])
    while at >= 0:
        total += held.weight[at]
        at = np.int64(held.following[at])
    return total


@compiled
def _change_total(graph: Graph, held: Parallel, slot: Integer, before: Number, after: Number) -> None:
    """Follow the change of one of a pair's weights, which is done in the list already."""
    was = held.total[slot]
    total = was - before + after
    if total < was * CANCELLATION:
        total = _sum_parallel(held, slot)
    held.total[slot] = total
    noted = graph.log.size[0]
    _update(graph, slot, np.float32(total))
    if held.x.shape[1] > 0 and graph.log.size[0] == noted:
        _note_features(graph, slot)


@compiled
def _note_features(graph: Graph, slot: Integer) -> None:
    """Note that the features of a pair's edges are others."""
    key = graph.edges.key[slot]
    weight = graph.outgoing.weight[graph.outgoing.offset[key >> 32] + graph.edges.place_source[slot]]
    _record(graph.log, key, weight, weight)


@compiled
def _set_edge_features(held: Parallel, number: Integer, columns: Columns, event: Integer) -> bool:
    """Set the features of an edge to those of an event, whether or not it has some; whether they are others."""
    form, first, count = columns.form[event], columns.first[event], columns.width[event]
    changed = False
    for column in range(held.x.shape[1]):
        value = columns.value[first + column] if form == DENSE else np.float32(0.0)
        if form == SPARSE:
            for at in range(first, first + count):
                if columns.place[at] == column:
                    value = columns.value[at]
        changed |= held.x[number, column] != value
        held.x[number, column] = value
        held.entering[number, column] = np.arcsinh(value)
    return changed


@compiled
def enter_features(held: Parallel) -> None:
    """Compute what students read of all features."""
    for number in range(held.x.shape[0]):
        for column in range(held.x.shape[1]):
            held.entering[number, column] = np.arcsinh(held.x[number, column])


@compiled
def _link(held: Parallel, slot: Integer, number: Integer) -> None:
    """Put an edge at the front of its pair's list."""
    first = held.head[slot]
    held.following[number] = first
    held.preceding[number] = -1
    if first >= 0:
        held.preceding[first] = number
    held.head[slot] = number


@compiled
def _unlink(held: Parallel, slot: Integer, number: Integer) -> None:
    before, after = held.preceding[number], held.following[number]
    if before >= 0:
        held.following[before] = after
    else:
        held.head[slot] = after
    if after >= 0:
        held.preceding[after] = before


@compiled
def _remove_pair(graph: Graph, held: Parallel, at: Integer) -> None:
    """Remove a pair without edges. What is kept by slot moves with the last one, as the rest does."""
    slot = graph.edges.table[at]
    _remove(graph, at)
    last = graph.edges.in_use[0]
    held.head[slot] = held.head[last]
    held.total[slot] = held.total[last]


@compiled
def _give_up(held: Parallel, number: Integer) -> None:
    held.source[number] = -1
    held.given_up[held.sizes[GIVEN_UP]] = number
    held.sizes[GIVEN_UP] += 1
    held.sizes[LIVING] -= 1


@compiled
def _remove_parallel(graph: Graph, held: Parallel, number: Integer) -> None:
    """Take an edge out of its pair; the pair leaves with its last edge."""
    key = _key(graph, np.int64(held.source[number]), np.int64(held.target[number]))
    at = _find(graph.edges, key)
    slot = np.int64(graph.edges.table[at])
    _unlink(held, slot, number)
    if held.head[slot] < 0:
        _remove_pair(graph, held, at)
    else:
        _change_total(graph, held, slot, held.weight[number], 0.0)


@compiled
def _add_parallel(graph: Graph, held: Parallel, key: Integer, number: Integer, weight: Number, time: Number) -> None:
    """Put an edge into its pair, for which there must be space."""
    at = _find(graph.edges, key)
    if at >= 0:
        slot = np.int64(graph.edges.table[at])
        _link(held, slot, number)
        _change_total(graph, held, slot, 0.0, weight)
    else:
        slot = graph.edges.in_use[0]
        _insert(graph, key, weight, time)
        held.head[slot] = -1
        held.total[slot] = weight
        _link(held, slot, number)


@compiled
def _upsert_parallel(
    graph: Graph,
    held: Parallel,
    number: Integer,
    ends: tuple[Integer, Integer],
    weight: Number,
    time: Number,
    columns: Columns,
    event: Integer,
) -> bool:
    """Create, update or move an edge; False, with nothing done, where a pool is too small."""
    key, source = _key(graph, ends[0], ends[1]), np.int64(held.source[number])
    before = _key(graph, source, np.int64(held.target[number])) if source >= 0 else np.int64(-1)
    kept = held.weight[number] if source >= 0 else np.float32(1.0)
    after = kept if np.isnan(weight) else weight
    if before != key:
        if _find(graph.edges, key) < 0 and not _has_places(graph, key):
            return False
        if source >= 0:
            _remove_parallel(graph, held, number)
        else:
            held.sizes[LIVING] += 1
        held.weight[number] = after
        _add_parallel(graph, held, key, number, after, time)
    elif after != kept:
        held.weight[number] = after
        _change_total(graph, held, np.int64(graph.edges.table[_find(graph.edges, key)]), kept, after)
    if held.x.shape[1] > 0 and (source < 0 or columns.form[event] != NO_FEATURES):
        changed = _set_edge_features(held, number, columns, event)
        if changed and before == key and after == kept:
            _note_features(graph, np.int64(graph.edges.table[_find(graph.edges, key)]))
    held.source[number], held.target[number] = ends
    if graph.expiring and (source < 0 or held.time[number] != time):
        _push(graph.queue, time, number)
    held.time[number] = time
    return True


@compiled
def _is_full(graph: Graph, held: Parallel) -> bool:
    """Whether there is no space to note two changes of weights, or one more edge that leaves."""
    return bool(graph.log.size[0] + 2 > graph.log.key.size or held.sizes[GIVEN_UP] == held.given_up.size)


@compiled
def _strip_parallel(graph: Graph, held: Parallel, slabs: Slabs, row: Integer, as_source: bool) -> bool:
    """Remove all edges in the row's slab and the slab; False where there was no space to note it before the end."""
    while slabs.length[row] > 0:
        other = slabs.neighbour[slabs.offset[row] + slabs.length[row] - 1]
        at = _find(graph.edges, _key(graph, row, other) if as_source else _key(graph, other, row))
        slot = np.int64(graph.edges.table[at])
        while held.head[slot] >= 0:
            if _is_full(graph, held):
                return False
            number = np.int64(held.head[slot])
            held.head[slot] = held.following[number]
            _give_up(held, number)
        if _is_full(graph, held):
            return False
        _remove_pair(graph, held, at)
    slabs.used[1] += slabs.capacity[row]
    slabs.capacity[row] = 0
    return True


@compiled
def run_parallel(
    graph: Graph,
    held: Parallel,
    operations: Operations,
    numbers: Int64s,
    columns: Columns,
    event_of: Int32s,
    start: Integer,
    absent: UInt8s,
) -> int:
    """As :func:`run_operations`, on edges whose ``numbers`` these are, -1 for a node's removal.

    Features are those of the events in ``columns``.
    """
    for at in range(start, operations.kind.size):
        if _is_full(graph, held):
            return at
        kind, number = operations.kind[at], numbers[at]
        ends = np.int64(operations.source[at]), np.int64(operations.target[at])
        if kind == UPSERT_EDGE:
            weight, time = operations.weight[at], operations.time[at]
            if not _upsert_parallel(graph, held, number, ends, weight, time, columns, np.int64(event_of[at])):
                return at
        elif kind == REMOVE_EDGE:
            if held.source[number] >= 0:
                _remove_parallel(graph, held, number)
                _give_up(held, number)
            else:
                absent[at] = 1
        elif not (
            _strip_parallel(graph, held, graph.incoming, ends[0], False)
            and _strip_parallel(graph, held, graph.outgoing, ends[0], True)
        ):
            return at
    return operations.kind.size


@compiled
def run_expiry_of_parallel(graph: Graph, held: Parallel, before: Number) -> int:
    """As :func:`run_expiry`, of edges with ids, whose numbers are in the queue."""
    removed, queue = 0, graph.queue
    while queue.size[0] > 0 and queue.time[0] < before and not _is_full(graph, held):
        time, number = queue.time[0], queue.key[0]
        _pop(queue)
        if held.source[number] >= 0 and held.time[number] == time:
            _remove_parallel(graph, held, number)
            _give_up(held, number)
            removed += 1
    return removed


@compiled
def mean_features(
    graph: Graph,
    held: Parallel,
    rows: Int64s,
    neighbour: Int64s,
    offsets: Int64s,
    turn: tuple[int, int],
    found: Float32s,
) -> None:
    """Fill in the mean of the features of the edges between each row and its neighbours, weighted by their weights.

    A feature enters as its inverse hyperbolic sine, which is near to it below 1, and to the logarithm far above.

    Args:
        graph: the arrays.
        held: the edges.
        rows: ``[n]``.
        neighbour: those from which edges lead into the rows, of all types.
        offsets: ``[n R + 1]``, where those of each row and type begin.
        turn: number of the type, and R.
        found: as long as ``neighbour``.
    """
    number, types = turn
    for at in range(rows.size):
        for place in range(offsets[at * types + number], offsets[at * types + number + 1]):
            soon = min(place + AHEAD, offsets[at * types + number + 1] - 1)
            prefetch(graph.edges.table, _home(_key(graph, neighbour[soon], rows[at]), graph.edges.table.size - 1))
            slot = np.int64(graph.edges.table[_find(graph.edges, _key(graph, neighbour[place], rows[at]))])
            edge, share = np.int64(held.head[slot]), 1.0 / held.total[slot]
            while edge >= 0:
                part = np.float32(held.weight[edge] * share)
                for column in range(held.x.shape[1]):
                    found[place, column] += part * held.entering[edge, column]
                edge = np.int64(held.following[edge])
