"""The arrays of the compiled pass over a batch's events, and the places of single numbers in them."""

from __future__ import annotations

from typing import NamedTuple

from olad_core.graph.arrays import Float64s, Int16s, Int32s, Int64s, UInt8s

END, ARRIVALS, FREE, LIVING, HEAD, TAIL, REMEMBERED, CLASSES = range(8)
"""Places in ``Names.sizes``: rows ever used, nodes ever created, free rows, living nodes, first and last place of the
queue of removed ids in use, ids in it, classes."""
WIDTH, WIDTH_HELD, FROM_TS, HAS_UNTIMED, OPERATIONS, MAX_CLASSES, REMOVED_KEPT, TYPED = range(8)
"""Places in ``Settled.flags``."""
NOW, FIRST_TS, LIFETIME, AHEAD_MAX = range(4)
"""Places in ``Settled.times``; NaN stands for none."""
(
    CREATED,
    FREED,
    GONE,
    GONE_NAME,
    FEATURED,
    FEATURED_EVENT,
    LABELLED,
    LABEL,
    REJECTED,
    REASON,
    PLACE,
    NEW_CLASS,
    UNUSED,
    KINDED,
) = range(14)
"""Places in ``Settled.lists``."""
LISTS = 14
(
    AHEAD_OF_TIME,
    REMOVED_NODE,
    UNKNOWN_NODE,
    UNKNOWN_EDGE,
    NO_CLASS_LEFT,
    OTHER_WIDTH,
    NO_WIDTH,
    INDEX_BEYOND,
    UNKNOWN_TYPE,
    OTHER_TYPE,
    WIDTH_OF_TYPE,
    EDGE_ID,
) = range(12)
"""Why an event is rejected."""


class Names(NamedTuple):
    """What the numbers of ids and classes stand for, and which rows hold which node.

    Attributes:
        row_of: int32, row of each number's living node; -1 where it is none.
        class_of: int32, class of each number; -1 where it is none.
        removed_at: int64, place of each number in ``removed``; -1 where no such node was removed.
        removed: int32, numbers of removed nodes, oldest first; -1 where one has come back.
        name_of: int32, number of each row's id; -1 where the row holds no node.
        free: int32, stack of rows that are free.
        fresh: uint8, whether a row was given out in this batch.
        featured: int32, place of each row in the list of rows with features; -1 where it is not in it.
        labelled: int32, the same for labels.
        kind: int16, type of each row's node, -1 where it is not known; empty where nodes have no types.
        sizes: int64.
    """

    row_of: Int32s
    class_of: Int32s
    removed_at: Int64s
    removed: Int32s
    name_of: Int32s
    free: Int32s
    fresh: UInt8s
    featured: Int32s
    labelled: Int32s
    kind: Int16s
    sizes: Int64s


class Settled(NamedTuple):
    """What a batch comes to, and what it is held to.

    Attributes:
        lists: int64 ``[LISTS, 2 n]``; during the pass -1 in ``FEATURED`` and ``LABELLED`` where a row is not to count.
        length: int64 ``[LISTS]``.
        rejected_at: float64 ``[n]``, the latest time at each rejection; NaN before the first event time.
        event_of: int32 ``[n]``, the event of each operation.
        flags: int64.
        times: float64.
    """

    lists: Int64s
    length: Int64s
    rejected_at: Float64s
    event_of: Int32s
    flags: Int64s
    times: Float64s
