"""What a batch of events comes to, as far as nodes are concerned, from the compiled pass over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from olad_core.events import RejectedOp, RejectionReason
from olad_core.graph import node_arrays as at
from olad_core.graph import node_pass
from olad_core.graph.arrays import Float64s, Int32s, Int64s
from olad_core.graph.changes import Rejection
from olad_core.graph.clock import Clock
from olad_core.graph.columns import LABEL_NODE, REMOVE_EDGE, REMOVE_NODE, TASK_LABEL, UPSERT_EDGE, UPSERT_NODE
from olad_core.graph.edge_arrays import Operations
from olad_core.graph.event_columns import EventColumns
from olad_core.graph.node_arrays import Settled
from olad_core.graph.node_ids import NodeIds
from olad_core.graph.text_loops import Slices
from olad_core.graph_types import NODE_TYPE, RELATION
from olad_core.schema import TooManyClasses

_OPS: dict[int, RejectedOp] = {
    UPSERT_NODE: "upsert_node",
    REMOVE_NODE: "remove_node",
    UPSERT_EDGE: "upsert_edge",
    REMOVE_EDGE: "remove_edge",
    LABEL_NODE: "label",
    TASK_LABEL: "label",
}


class Limits(NamedTuple):
    """What the events of a batch are held to.

    Attributes:
        edge_lifetime: edges leave that long after their time, at the latest; None where all of them stay.
        ts_ahead_max: how far a ``ts`` may lie ahead of the latest one, where that is declared.
        max_classes: classes that there may be.
        width: feature width; None while it is unknown.
        width_held: whether features of that width have arrived.
        typed: whether nodes have types, each with a width of its own.
    """

    edge_lifetime: float | None
    ts_ahead_max: float | None
    max_classes: int
    width: int | None
    width_held: bool
    typed: bool = False


class Batch(NamedTuple):
    """A batch whose nodes have been created and removed, and whose edge events are to be carried out.

    Attributes:
        clock: the graph's clock after the batch.
        width: feature width after the batch; None while unknown.
        width_held: whether features of that width have arrived.
        created: int64, rows that were given out, in order, those freed again included.
        freed: int64, rows whose node was removed, in order.
        removed_rows: int64, those of them that were there before the batch.
        removed_ids: their ids.
        featured: int64, living rows with features, in the order of their first ones.
        features_of: int64, the event with each one's last features.
        kinded: int64, living rows that were given a type.
        labelled: int64, living rows with a label, in the order of their last label event.
        classes: int64, their last classes.
        first_ts: the first event time of the graph; None where it had one before, or has none yet.
        operations: the edge events that were not rejected, and the removals of nodes, in order.
        event_of: int32, the event of each operation.
        rejected: events that could not be applied, but for removals of edges that are not there.
    """

    clock: Clock
    width: int | None
    width_held: bool
    created: Int64s
    freed: Int64s
    removed_rows: Int64s
    removed_ids: list[str]
    featured: Int64s
    features_of: Int64s
    kinded: Int64s
    labelled: Int64s
    classes: Int64s
    first_ts: float | None
    operations: Operations
    event_of: Int32s
    rejected: list[Rejection]


def settle(
    events: EventColumns, clock: Clock, nodes: NodeIds, limits: Limits, interned: tuple[Int64s, Int64s] | None = None
) -> Batch:
    """Go through a batch: create and remove nodes, number classes, follow the times.

    Args:
        events: the batch.
        clock: the graph's, at the batch's arrival.
        nodes: ids and classes, which are changed.
        limits: what the events are held to.
        interned: what :func:`intern_texts` has given; None where it was not called.
    """
    columns, count = events.columns, len(events)
    numbers, new = intern_texts(events, nodes) if interned is None else interned
    settled, operations = _before(count, clock, nodes, limits), _no_operations(count)
    node_pass.run_events(columns, numbers, nodes.arrays, settled, operations)
    lists, length = settled.lists, settled.length.tolist()
    flags, first_ts = settled.flags.tolist(), float(settled.times[at.FIRST_TS])

    def listed(which: int) -> Int64s:
        return lists[which, : length[which]]

    rejected = _rejections(events, settled, limits) if length[at.REJECTED] else []
    removed_ids = nodes.texts_of(listed(at.GONE_NAME)) if length[at.GONE] else []
    if length[at.NEW_CLASS]:
        nodes.classes.extend(nodes.texts_of(listed(at.NEW_CLASS)))
    if new.size or length[at.UNUSED]:
        nodes.drop_unused(np.append(new, listed(at.UNUSED)))
    if flags[at.FROM_TS] or flags[at.HAS_UNTIMED]:
        now, from_ts = float(settled.times[at.NOW]), bool(flags[at.FROM_TS])
        clock = Clock(now, from_ts, clock.arrival, clock.shift)
    done = flags[at.OPERATIONS]
    return Batch(
        clock=clock,
        width=flags[at.WIDTH] if flags[at.WIDTH] >= 0 else None,
        width_held=bool(flags[at.WIDTH_HELD]),
        created=listed(at.CREATED),
        freed=listed(at.FREED),
        removed_rows=listed(at.GONE),
        removed_ids=removed_ids,
        featured=listed(at.FEATURED),
        features_of=listed(at.FEATURED_EVENT),
        kinded=_typed_rows(listed(at.KINDED), nodes),
        labelled=listed(at.LABELLED),
        classes=listed(at.LABEL),
        first_ts=None if math.isnan(first_ts) else first_ts,
        operations=Operations._make(column[:done] for column in operations),
        event_of=settled.event_of[:done],
        rejected=rejected,
    )


def intern_texts(events: EventColumns, nodes: NodeIds) -> tuple[Int64s, Int64s]:
    """Numbers of the texts of a batch, and those of them that are new (:meth:`NodeIds.intern`)."""
    columns = events.columns
    return nodes.intern(Slices(columns.text, columns.start, columns.length))


def reject_absent(events: EventColumns, batch: Batch, operations: Sequence[int]) -> list[Rejection]:
    """All rejections of a batch in order, given the places of removals of edges that were not there."""
    absent = [_unknown_edge(events, int(batch.event_of[place])) for place in operations]
    return sorted(batch.rejected + absent, key=lambda rejection: rejection.index)


def _before(count: int, clock: Clock, nodes: NodeIds, limits: Limits) -> Settled:
    # What an event without `ts` happens at: the latest event time as it is at that event, or the time of arrival.
    now = clock.now
    width = -1 if limits.width is None else limits.width
    flags = [width, limits.width_held, clock.from_ts, False, 0, limits.max_classes, nodes.removed_kept, limits.typed]
    times = [now, math.nan, or_nan(limits.edge_lifetime), or_nan(limits.ts_ahead_max)]
    return Settled(
        lists=np.empty((at.LISTS, 2 * count), np.int64),
        length=np.zeros(at.LISTS, np.int64),
        rejected_at=np.empty(count),
        event_of=np.empty(count, np.int32),
        flags=np.array(flags, np.int64),
        times=np.array(times),
    )


def _no_operations(count: int) -> Operations:
    return Operations(
        kind=np.empty(count, np.uint8),
        source=np.empty(count, np.int32),
        target=np.empty(count, np.int32),
        weight=np.empty(count, np.float32),
        time=np.empty(count, np.float64),
    )


def _typed_rows(rows: Int64s, nodes: NodeIds) -> Int64s:
    """Those of the rows that still hold a node with a type."""
    return np.unique(rows[nodes.arrays.kind[rows] >= 0]) if rows.size else rows


def or_nan(number: float | None) -> float:
    """A number as compiled loops take it."""
    return math.nan if number is None else number


def _rejections(events: EventColumns, settled: Settled, limits: Limits) -> list[Rejection]:
    count = settled.length[at.REJECTED]
    columns = settled.lists[[at.REJECTED, at.REASON, at.PLACE], :count]
    width = int(settled.flags[at.WIDTH])
    rejected = []
    for (index, reason, place), now in zip(columns.T.tolist(), settled.rejected_at.tolist(), strict=False):
        if reason == at.UNKNOWN_EDGE:
            rejected.append(_unknown_edge(events, index))
            continue
        word, detail = _reason(events, reason, place, now, width, limits)
        rejected.append(Rejection(index, _OPS[int(events.columns.kind[index])], word, detail))
    return rejected


def _reason(
    events: EventColumns, reason: int, place: int, now: float, width: int, limits: Limits
) -> tuple[RejectionReason, str]:
    """The word and the sentence of a rejection."""
    index, text = place // 2, events.text(place)
    if reason == at.REMOVED_NODE:
        return "removed-node", f"node {text!r} was removed; an upsert_node brings it back"
    if reason == at.UNKNOWN_NODE:
        return "unknown-node", f"there is no node {text!r}"
    if reason == at.NO_CLASS_LEFT:
        return "too-many-classes", str(TooManyClasses(text, limits.max_classes))
    if reason in {at.UNKNOWN_TYPE, at.OTHER_TYPE, at.WIDTH_OF_TYPE, at.EDGE_ID}:
        return _type_reason(events, reason, index, text)
    if reason == at.AHEAD_OF_TIME:
        return "ts-ahead", _ahead_detail(events.columns.time, index, now, limits)
    return "feature-width", _width_detail(events, reason, index, width)


def _type_reason(events: EventColumns, reason: int, index: int, text: str) -> tuple[RejectionReason, str]:
    named = events.type_of(index)
    if reason == at.OTHER_TYPE:
        return "other-type", f"node {text!r} has another type than {named!r}: remove it first"
    if reason == at.WIDTH_OF_TYPE:
        of = "nodes" if events.columns.kind[index] == UPSERT_NODE else "edges"
        return "feature-width", f"these are not the features of {of} of the type {named or RELATION!r}"
    if reason == at.EDGE_ID:
        how = "have no ids" if events.edge_id_of(index) else "are named by ids"
        return "edge-id", f"edges of the type {named or RELATION!r} {how}"
    of_node = events.columns.kind[index] == UPSERT_NODE
    what, unnamed = ("nodes", NODE_TYPE) if of_node else ("edges", RELATION)
    return "unknown-type", f"this graph has no {what} of the type {named or unnamed!r}"


def _width_detail(events: EventColumns, reason: int, index: int, width: int) -> str:
    first, count = int(events.columns.first[index]), int(events.columns.width[index])
    if reason == at.OTHER_WIDTH:
        return f"{count} features where this graph's nodes have {width}"
    if reason == at.NO_WIDTH:
        return "sparse features need a declared width, and this graph has none"
    most = events.columns.place[first : first + count].max()
    return f"index {most} is not below the feature width {width}"


def _ahead_detail(times: Float64s, index: int, now: float, limits: Limits) -> str:
    ts = float(times[index])
    if math.isnan(now):
        detail = f"ts {ts:g} is no time in any unit"
    else:
        most = node_pass.furthest(or_nan(limits.edge_lifetime), or_nan(limits.ts_ahead_max), now) - now
        detail = f"ts {ts:g} is {ts - now:g} ahead of the graph's latest time {now:g}, {most:g} at most"
    return f"{detail}: PUT /schema with ts_ahead_max allows more, PUT /clock sets the latest time"


def _unknown_edge(events: EventColumns, index: int) -> Rejection:
    if name := events.edge_id_of(index):
        kind = events.type_of(index) or RELATION
        return Rejection(
            index, "remove_edge", "unknown-edge", f"there is no edge of the type {kind!r} with the id {name!r}"
        )
    ends = f"from {events.text(2 * index)!r} to {events.text(2 * index + 1)!r}"
    if kind := events.type_of(index):
        ends = f"of the type {kind!r} {ends}"
    return Rejection(index, "remove_edge", "unknown-edge", f"there is no edge {ends}")
