"""The compiled pass over a batch of events that settles what a node's coming and going decides.

It is in the order of the events. Nodes are created and removed, classes numbered, event times followed, and edge events
become operations; what it leaves to :mod:`olad_core.graph.kernels` is whether an edge is there. No row is used twice in
one batch, so rows name nodes without ambiguity. Nothing here allocates: whoever calls has reserved the space.
"""

from __future__ import annotations

import math

import numpy as np

from olad_core.graph.arrays import Int32s, Int64s, Integer, Number
from olad_core.graph.columns import (
    DENSE,
    ID_LENGTH,
    NO_FEATURES,
    NO_TYPE,
    NOT_BY_ID,
    REMOVE_EDGE,
    REMOVE_NODE,
    TASK_LABEL,
    TYPE,
    UPSERT_EDGE,
    UPSERT_NODE,
    Columns,
)
from olad_core.graph.compiled import AHEAD, compiled, prefetch
from olad_core.graph.edge_arrays import Operations
from olad_core.graph.node_arrays import (
    AHEAD_MAX,
    AHEAD_OF_TIME,
    ARRIVALS,
    CLASSES,
    CREATED,
    EDGE_ID,
    END,
    FEATURED,
    FEATURED_EVENT,
    FIRST_TS,
    FREE,
    FREED,
    FROM_TS,
    GONE,
    GONE_NAME,
    HAS_UNTIMED,
    HEAD,
    INDEX_BEYOND,
    KINDED,
    LABEL,
    LABELLED,
    LIFETIME,
    LIVING,
    MAX_CLASSES,
    NEW_CLASS,
    NO_CLASS_LEFT,
    NO_WIDTH,
    NOW,
    OPERATIONS,
    OTHER_TYPE,
    OTHER_WIDTH,
    PLACE,
    REASON,
    REJECTED,
    REMEMBERED,
    REMOVED_KEPT,
    REMOVED_NODE,
    TAIL,
    TYPED,
    UNKNOWN_EDGE,
    UNKNOWN_NODE,
    UNKNOWN_TYPE,
    UNUSED,
    WIDTH,
    WIDTH_HELD,
    WIDTH_OF_TYPE,
    Names,
    Settled,
)

LIFETIMES_AHEAD = 1e6
"""A ``ts`` is believed so many edge lifetimes ahead of the latest time, where no bound is declared."""
FURTHEST_FIRST = 2.0**63
"""Greatest ``ts`` that is believed where there is none to compare it with: no integer time is beyond it."""
SMALLEST_WEIGHT = float(np.finfo(np.float32).tiny)
"""Weights are raised to this: a positive weight must not become 0, which stands for no edge."""


@compiled
def furthest(lifetime: Number, ahead_max: Number, latest: Number) -> Number:
    """The greatest ``ts`` that is believed.

    Undeclared, the bound is to keep out what cannot be meant, and nothing else: a unit of time is not known, a
    quiet time may be long, and a latest time of 0 or less may stand for no time at all. Without a lifetime no
    time does harm.

    Args:
        lifetime: edges leave that long after their time; NaN where they stay.
        ahead_max: how far a ``ts`` may lie ahead of the latest one; NaN where that is not declared.
        latest: the latest event time; NaN before the first.

    >>> nan = math.nan
    >>> furthest(10.0, nan, 100.0), furthest(nan, 60.0, 100.0), furthest(nan, nan, 100.0)
    (10000100.0, 160.0, inf)
    """
    if not np.isnan(ahead_max):
        return max(FURTHEST_FIRST, ahead_max) if np.isnan(latest) else latest + ahead_max
    if np.isnan(lifetime):
        return math.inf
    ahead = LIFETIMES_AHEAD * lifetime
    if np.isnan(latest) or latest <= 0:
        return max(FURTHEST_FIRST, ahead)
    return latest + max(ahead, latest)


@compiled
def _add(settled: Settled, which: int, value: Integer) -> None:
    settled.lists[which, settled.length[which]] = value
    settled.length[which] += 1


@compiled
def _latest(settled: Settled) -> Number:
    """The latest event time; NaN before the first."""
    return settled.times[NOW] if settled.flags[FROM_TS] else math.nan


@compiled
def _is_ahead(settled: Settled, ts: Number) -> bool:
    times = settled.times
    if np.isnan(ts) or (settled.flags[FROM_TS] and ts <= times[NOW]):
        return False
    return bool(ts > furthest(times[LIFETIME], times[AHEAD_MAX], _latest(settled)))


@compiled
def _see(settled: Settled, operations: Operations, ts: Number) -> None:
    """Follow the time of an event that is applied."""
    if np.isnan(ts):
        settled.flags[HAS_UNTIMED] = 1
    elif settled.flags[FROM_TS]:
        settled.times[NOW] = max(settled.times[NOW], ts)
    else:
        # The first event time: what has come before it happened then, for times of arrival do not compare with it.
        settled.flags[FROM_TS] = 1
        settled.times[NOW] = settled.times[FIRST_TS] = ts
        for at in range(settled.flags[OPERATIONS]):
            # Removals have no time, that is minus infinity.
            if operations.time[at] > -math.inf:
                operations.time[at] = ts


@compiled
def _operate(
    settled: Settled, operations: Operations, event: int, kind: int, ends: tuple[Integer, Integer], columns: Columns
) -> None:
    at = settled.flags[OPERATIONS]
    settled.flags[OPERATIONS] = at + 1
    settled.event_of[at] = event
    operations.kind[at] = kind
    operations.source[at] = ends[0]
    operations.target[at] = ends[1]
    operations.weight[at] = math.nan
    operations.time[at] = -math.inf
    if kind == UPSERT_EDGE:
        weight, ts = columns.weight[event], columns.time[event]
        operations.weight[at] = weight if np.isnan(weight) else max(weight, SMALLEST_WEIGHT)
        operations.time[at] = settled.times[NOW] if np.isnan(ts) else ts


@compiled
def _reject(settled: Settled, event: int, reason: int, place: int) -> None:
    """Reject an event; ``place`` is that of the text that the reason is about."""
    settled.rejected_at[settled.length[REJECTED]] = _latest(settled)
    _add(settled, REJECTED, event)
    _add(settled, REASON, reason)
    _add(settled, PLACE, 2 * event + place)


@compiled
def _reject_missing(names: Names, settled: Settled, event: int, name: Integer) -> None:
    _reject(settled, event, REMOVED_NODE if names.removed_at[name] >= 0 else UNKNOWN_NODE, 0)


@compiled
def _row_or_new(names: Names, settled: Settled, name: Integer) -> Integer:
    row = np.int64(names.row_of[name])
    if row >= 0:
        return row
    sizes, place = names.sizes, names.removed_at[name]
    if place >= 0:
        names.removed[place] = -1
        names.removed_at[name] = -1
        sizes[REMEMBERED] -= 1
    if sizes[FREE] > 0:
        sizes[FREE] -= 1
        row = np.int64(names.free[sizes[FREE]])
    else:
        row = sizes[END]
        sizes[END] += 1
    sizes[ARRIVALS] += 1
    sizes[LIVING] += 1
    names.row_of[name] = row
    names.name_of[row] = name
    names.fresh[row] = 1
    _add(settled, CREATED, row)
    return row


@compiled
def _remember_removed(names: Names, settled: Settled, name: Integer) -> None:
    sizes = names.sizes
    names.removed[sizes[TAIL]] = name
    names.removed_at[name] = sizes[TAIL]
    sizes[TAIL] += 1
    sizes[REMEMBERED] += 1
    if sizes[REMEMBERED] > settled.flags[REMOVED_KEPT]:
        while names.removed[sizes[HEAD]] < 0:
            sizes[HEAD] += 1
        forgotten = names.removed[sizes[HEAD]]
        sizes[HEAD] += 1
        sizes[REMEMBERED] -= 1
        names.removed_at[forgotten] = -1
        _add(settled, UNUSED, forgotten)


@compiled
def _class_of(names: Names, settled: Settled, name: Integer) -> Integer:
    """Number of a class; -1 for a new one where there are as many as there may be."""
    found = np.int64(names.class_of[name])
    if found < 0 and names.sizes[CLASSES] < settled.flags[MAX_CLASSES]:
        found = names.sizes[CLASSES]
        names.sizes[CLASSES] += 1
        names.class_of[name] = found
        _add(settled, NEW_CLASS, name)
    return found


@compiled
def _set_label(names: Names, settled: Settled, row: Integer, label: Integer) -> None:
    if names.labelled[row] >= 0:
        settled.lists[LABELLED, names.labelled[row]] = -1
    names.labelled[row] = settled.length[LABELLED]
    _add(settled, LABELLED, row)
    _add(settled, LABEL, label)


@compiled
def _set_features(names: Names, settled: Settled, row: Integer, event: int) -> None:
    if names.featured[row] >= 0:
        settled.lists[FEATURED_EVENT, names.featured[row]] = event
    else:
        names.featured[row] = settled.length[FEATURED]
        _add(settled, FEATURED, row)
        _add(settled, FEATURED_EVENT, event)


@compiled
def _hold_width(columns: Columns, settled: Settled, event: int) -> int:
    """From the first features on the width is held; why these do not have it, -1 where they do."""
    flags, count = settled.flags, columns.width[event]
    dense = columns.form[event] == DENSE
    if flags[WIDTH] < 0 and dense:
        flags[WIDTH] = count
    flags[WIDTH_HELD] = flags[WIDTH] >= 0
    if dense:
        return -1 if count == flags[WIDTH] else OTHER_WIDTH
    if flags[WIDTH] < 0:
        return NO_WIDTH
    for at in range(columns.first[event], columns.first[event] + count):
        if columns.place[at] >= flags[WIDTH]:
            return INDEX_BEYOND
    return -1


@compiled
def _has_other_type(names: Names, name: Integer, kind: Integer) -> bool:
    row = names.row_of[name]
    return bool(row >= 0 and names.kind[row] >= 0 and names.kind[row] != kind)


@compiled
def _upsert_node(
    columns: Columns, name: Integer, label: Integer, names: Names, settled: Settled, operations: Operations, event: int
) -> None:
    # Features hold the width whatever becomes of the event: who takes events in cannot know.
    typed = settled.flags[TYPED]
    problem = _hold_width(columns, settled, event) if columns.form[event] != NO_FEATURES and not typed else -1
    ts = columns.time[event]
    if _is_ahead(settled, ts):
        return _reject(settled, event, AHEAD_OF_TIME, 0)
    if typed and _has_other_type(names, name, columns.types[TYPE, event]):
        problem = OTHER_TYPE
    if problem >= 0:
        return _reject(settled, event, problem, 0)
    number = _class_of(names, settled, label) if label >= 0 else np.int64(-1)
    if label >= 0 and number < 0:
        return _reject(settled, event, NO_CLASS_LEFT, 1)
    row = _row_or_new(names, settled, name)
    if typed and names.kind[row] < 0:
        names.kind[row] = columns.types[TYPE, event]
        _add(settled, KINDED, row)
    if columns.form[event] != NO_FEATURES:
        _set_features(names, settled, row, event)
    if number >= 0:
        _set_label(names, settled, row, number)
    return _see(settled, operations, ts)


@compiled
def _remove_node(
    columns: Columns, name: Integer, names: Names, settled: Settled, operations: Operations, event: int
) -> None:
    row = np.int64(names.row_of[name])
    if row < 0:
        return _reject_missing(names, settled, event, name)
    names.row_of[name] = -1
    names.name_of[row] = -1
    if settled.flags[TYPED]:
        names.kind[row] = -1
    names.sizes[LIVING] -= 1
    _add(settled, FREED, row)
    if not names.fresh[row]:
        _add(settled, GONE, row)
        _add(settled, GONE_NAME, name)
    _remember_removed(names, settled, name)
    if names.featured[row] >= 0:
        settled.lists[FEATURED, names.featured[row]] = -1
        names.featured[row] = -1
    if names.labelled[row] >= 0:
        settled.lists[LABELLED, names.labelled[row]] = -1
        names.labelled[row] = -1
    return _operate(settled, operations, event, REMOVE_NODE, (row, row), columns)


@compiled
def _label_node(
    columns: Columns, name: Integer, label: Integer, names: Names, settled: Settled, operations: Operations, event: int
) -> None:
    row, ts = np.int64(names.row_of[name]), columns.time[event]
    if row < 0:
        return _reject_missing(names, settled, event, name)
    if _is_ahead(settled, ts):
        return _reject(settled, event, AHEAD_OF_TIME, 0)
    number = _class_of(names, settled, label)
    if number < 0:
        return _reject(settled, event, NO_CLASS_LEFT, 1)
    _set_label(names, settled, row, number)
    return _see(settled, operations, ts)


@compiled
def _label_task(columns: Columns, settled: Settled, operations: Operations, event: int) -> None:
    """Follow the time of a label of an edge, which is no part of the graph."""
    if _is_ahead(settled, columns.time[event]):
        return _reject(settled, event, AHEAD_OF_TIME, 0)
    return _see(settled, operations, columns.time[event])


@compiled
def _edge(
    columns: Columns,
    first: Integer,
    second: Integer,
    names: Names,
    settled: Settled,
    operations: Operations,
    event: int,
) -> None:
    source, target = np.int64(names.row_of[first]), np.int64(names.row_of[second])
    upsert, ts = columns.kind[event] == UPSERT_EDGE, columns.time[event]
    if source < 0 or target < 0:
        if names.removed_at[first] >= 0:
            return _reject(settled, event, REMOVED_NODE, 0)
        if names.removed_at[second] >= 0:
            return _reject(settled, event, REMOVED_NODE, 1)
        if not upsert:
            return _reject(settled, event, UNKNOWN_EDGE, 0)
    if not upsert:
        return _operate(settled, operations, event, REMOVE_EDGE, (source, target), columns)
    if _is_ahead(settled, ts):
        return _reject(settled, event, AHEAD_OF_TIME, 0)
    ends = _row_or_new(names, settled, first), _row_or_new(names, settled, second)
    _see(settled, operations, ts)
    return _operate(settled, operations, event, UPSERT_EDGE, ends, columns)


@compiled
def _why_of_type(number: Integer) -> int:
    """Why an event whose type has no number is rejected."""
    if number == NO_TYPE:
        return UNKNOWN_TYPE
    return EDGE_ID if number == NOT_BY_ID else WIDTH_OF_TYPE


@compiled
def run_events(columns: Columns, numbers: Int64s, names: Names, settled: Settled, operations: Operations) -> None:
    """Go through the events in order; ``numbers`` are those of their texts, -1 for no text."""
    last = numbers.size - 1
    for event in range(columns.kind.size):
        for place in range(2 * event + 2 * AHEAD, 2 * event + 2 * AHEAD + 2):
            prefetch(names.row_of, max(0, numbers[min(place, last)]))
        first, second, kind = numbers[2 * event], numbers[2 * event + 1], columns.kind[event]
        if kind in (UPSERT_EDGE, REMOVE_EDGE):
            if columns.types[TYPE, event] < 0:
                _reject(settled, event, _why_of_type(columns.types[TYPE, event]), 0)
            elif kind == REMOVE_EDGE and columns.types[ID_LENGTH, event] > 0:
                _operate(settled, operations, event, REMOVE_EDGE, (np.int64(-1), np.int64(-1)), columns)
            elif first < 0 or second < 0:
                _reject(settled, event, UNKNOWN_EDGE, 0)
            else:
                _edge(columns, first, second, names, settled, operations, event)
        elif kind == UPSERT_NODE and columns.types[TYPE, event] < 0:
            _reject(settled, event, _why_of_type(columns.types[TYPE, event]), 0)
        elif kind == UPSERT_NODE:
            _upsert_node(columns, first, second, names, settled, operations, event)
        elif kind == TASK_LABEL:
            _label_task(columns, settled, operations, event)
        elif kind == REMOVE_NODE:
            _remove_node(columns, first, names, settled, operations, event)
        else:
            _label_node(columns, first, second, names, settled, operations, event)
    _finish(names, settled)


@compiled
def _close(settled: Settled, which: int, beside: int, marks: Int32s) -> None:
    """Take the rows that do not count out of a list, and what stands beside them; clear the marks of the others."""
    lists, kept = settled.lists, 0
    for at in range(settled.length[which]):
        row = lists[which, at]
        if row >= 0:
            marks[row] = -1
            lists[which, kept] = row
            lists[beside, kept] = lists[beside, at]
            kept += 1
    settled.length[which] = settled.length[beside] = kept


@compiled
def _finish(names: Names, settled: Settled) -> None:
    """Let the removed nodes' rows be used again, and leave the rows' marks as they were."""
    for at in range(settled.length[CREATED]):
        names.fresh[settled.lists[CREATED, at]] = 0
    _close(settled, FEATURED, FEATURED_EVENT, names.featured)
    _close(settled, LABELLED, LABEL, names.labelled)
    for at in range(settled.length[FREED]):
        names.free[names.sizes[FREE]] = settled.lists[FREED, at]
        names.sizes[FREE] += 1
