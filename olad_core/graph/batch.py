"""One pass over a batch of events: nodes are created and removed, edge events become columns.

The pass is in the order of the events and settles everything that a node's coming and going decides; what it leaves to
the compiled loop is whether an edge is there. No row is used twice in one batch, so rows name nodes without ambiguity.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from olad_core.events import (
    Event,
    LabelNode,
    RejectedOp,
    RejectionReason,
    RemoveEdge,
    RemoveNode,
    SparseFeatures,
    UpsertEdge,
    UpsertNode,
)
from olad_core.graph.changes import Rejection
from olad_core.graph.clock import Belief, Clock
from olad_core.graph.kernels import REMOVE_EDGE, REMOVE_NODE, UPSERT_EDGE, Operations
from olad_core.graph.node_ids import NodeIds
from olad_core.schema import TooManyClasses

SMALLEST_WEIGHT = float(np.finfo(np.float32).tiny)
"""Weights are raised to this: a positive weight must not become 0, which stands for no edge."""


class Batch:
    """What a batch of events comes to, as far as nodes are concerned.

    Attributes:
        width: feature width after the batch; None while unknown.
        width_held: whether features of that width have arrived.
        created: rows that were given out, in order, those freed again included.
        freed: rows whose node was removed, in order.
        removed: those of them that were there before the batch, with their ids.
        features: last features of living rows.
        labels: last class of living rows, in order of their last label event.
        first_ts: the first event time of the graph; None where it had one before, or has none yet.
        rejected: events that could not be applied.
    """

    def __init__(
        self,
        events: Sequence[Event],
        clock: Clock,
        belief: Belief,
        nodes: NodeIds,
        classes: dict[str, int],
        max_classes: int,
        width: int | None,
        width_held: bool,
    ) -> None:
        self.width = width
        self.width_held = width_held
        self.created: list[int] = []
        self.freed: list[int] = []
        self.removed: dict[int, str] = {}
        self.features: dict[int, list[float] | SparseFeatures] = {}
        self.labels: dict[int, int] = {}
        self.first_ts: float | None = None
        self.rejected: list[Rejection] = []
        self._nodes, self._classes = nodes, classes
        self._clock, self._belief = clock, belief
        self._from_ts = clock.from_ts
        # What an event without `ts` happens at: the latest event time as it is at that event, or the time of arrival.
        self._now = clock.latest if clock.from_ts else max(clock.latest, clock.arrived)
        self._has_untimed = False
        # Times up to this are believed without asking; greater ones are looked at.
        self._believed = -math.inf
        self._max_classes = max_classes
        self._fresh: set[int] = set()
        self._events = events
        self._kind, self._weight, self._ts = array("B"), array("d"), array("d")
        self._source, self._target = array("i"), array("i")
        self._edge_removals: dict[int, int] = {}
        self._read()

    def operations(self) -> Operations:
        """The edge events that were not rejected, and the removals of nodes, in order."""
        weight = np.maximum(np.frombuffer(self._weight), SMALLEST_WEIGHT)
        return Operations(
            kind=np.frombuffer(self._kind, np.uint8),
            source=np.frombuffer(self._source, np.int32),
            target=np.frombuffer(self._target, np.int32),
            weight=weight.astype(np.float32),
            time=np.frombuffer(self._ts),
        )

    def clock(self) -> Clock:
        """The graph's clock after the batch."""
        if self._from_ts or self._has_untimed:
            return replace(self._clock, latest=self._now, from_ts=self._from_ts)
        return self._clock

    def reject_absent(self, operations: Sequence[int]) -> None:
        """Reject the removals of edges that were not there, given by their places among the operations."""
        for at in operations:
            index = self._edge_removals[at]
            event = self._events[index]
            assert isinstance(event, RemoveEdge)
            self._reject_unknown_edge(index, event)
        self.rejected.sort(key=lambda rejection: rejection.index)

    def _read(self) -> None:
        handlers = {
            UpsertEdge: self._upsert_edge,
            RemoveEdge: self._remove_edge,
            UpsertNode: self._upsert_node,
            RemoveNode: self._remove_node,
            LabelNode: self._label_node,
        }
        for index, event in enumerate(self._events):
            handlers[type(event)](index, event)  # type: ignore[operator]

    def _removal(self, kind: int, source: int, target: int) -> None:
        self._kind.append(kind)
        self._source.append(source)
        self._target.append(target)
        self._weight.append(math.nan)
        self._ts.append(-math.inf)

    def _upsert_edge(self, index: int, event: UpsertEdge) -> None:
        weight, ts = event.weight, event.ts
        row_of = self._nodes.row_of
        source, target = row_of.get(event.src), row_of.get(event.dst)  # type: ignore[arg-type]
        if source is None or target is None:
            ends = str(event.src), str(event.dst)
            for node in ends:
                if node in self._nodes.removed:
                    return self._reject_removed(index, event, node)
            if ts is not None and self._is_ahead(ts):
                return self._reject_ahead(index, event, ts)
            source, target = self._row_or_new(ends[0]), self._row_or_new(ends[1])
        # Most events of a stream come this way, so one call less counts.
        if ts is not None and self._now < ts <= self._believed:
            self._now = ts
        elif ts is not None and self._is_ahead(ts):
            return self._reject_ahead(index, event, ts)
        else:
            self._see(ts)
        self._kind.append(UPSERT_EDGE)
        self._source.append(source)
        self._target.append(target)
        self._weight.append(math.nan if weight is None else weight)
        self._ts.append(self._now if ts is None else ts)
        return None

    def _remove_edge(self, index: int, event: RemoveEdge) -> None:
        ends = str(event.src), str(event.dst)
        source, target = self._nodes.row_of.get(ends[0]), self._nodes.row_of.get(ends[1])
        if source is not None and target is not None:
            self._edge_removals[len(self._kind)] = index
            return self._removal(REMOVE_EDGE, source, target)
        for node in ends:
            if node in self._nodes.removed:
                return self._reject_removed(index, event, node)
        return self._reject_unknown_edge(index, event)

    def _upsert_node(self, index: int, event: UpsertNode) -> None:
        # Features hold the width whatever becomes of the event: who takes events in cannot know.
        problem = None if event.x is None else self._hold_width(event.x)
        if event.ts is not None and self._is_ahead(event.ts):
            return self._reject_ahead(index, event, event.ts)
        if problem is not None:
            return self._reject(index, event, "feature-width", problem)
        label = None if event.label is None else self._class_of(event.label)
        if label is None and event.label is not None:
            return self._reject_class(index, event, event.label)
        row = self._row_or_new(str(event.id))
        if event.x is not None:
            self.features[row] = event.x
        if label is not None:
            self._set_label(row, label)
        return self._see(event.ts)

    def _remove_node(self, index: int, event: RemoveNode) -> None:
        node = str(event.id)
        if node not in self._nodes.row_of:
            return self._reject_missing(index, event, node)
        row = self._nodes.remove(node)
        self.freed.append(row)
        if row not in self._fresh:
            self.removed[row] = node
        self.features.pop(row, None)
        self.labels.pop(row, None)
        return self._removal(REMOVE_NODE, row, row)

    def _label_node(self, index: int, event: LabelNode) -> None:
        node = str(event.id)
        row = self._nodes.row_of.get(node)
        if row is None:
            return self._reject_missing(index, event, node)
        if event.ts is not None and self._is_ahead(event.ts):
            return self._reject_ahead(index, event, event.ts)
        label = self._class_of(event.label)
        if label is None:
            return self._reject_class(index, event, event.label)
        self._set_label(row, label)
        return self._see(event.ts)

    def _row_or_new(self, node: str) -> int:
        row = self._nodes.row_of.get(node)
        if row is None:
            row = self._nodes.create(node)
            self.created.append(row)
            self._fresh.add(row)
        return row

    def _class_of(self, label: str | int) -> int | None:
        """Number of a class; None for a new one where there are as many as there may be."""
        number = self._classes.get(str(label))
        if number is None and len(self._classes) < self._max_classes:
            number = self._classes[str(label)] = len(self._classes)
        return number

    def _set_label(self, row: int, number: int) -> None:
        self.labels.pop(row, None)
        self.labels[row] = number

    def _see(self, ts: float | None) -> None:
        """Follow an event that is applied."""
        if ts is None:
            self._has_untimed = True
        elif self._from_ts:
            self._now = max(self._now, ts)
        else:
            self._begin_event_time(ts)

    def _begin_event_time(self, ts: float) -> None:
        """The first event time: what has come before it happened then, for times of arrival do not compare with it."""
        self._from_ts, self._now, self.first_ts = True, ts, ts
        for place, time in enumerate(self._ts):
            # Removals stand in this column with no time, that is minus infinity.
            if time > -math.inf:
                self._ts[place] = ts

    def _is_ahead(self, ts: float) -> bool:
        """Whether a time is further ahead than what is believed."""
        furthest = self._belief.furthest(self._now if self._from_ts else None)
        if self._from_ts and self._now > 0:
            # From here on it only grows.
            self._believed = furthest
        return ts > furthest

    def _reject_ahead(self, index: int, event: Event, ts: float) -> None:
        if not self._from_ts:
            detail = f"ts {ts:g} is no time in any unit"
        else:
            most = self._belief.furthest(self._now) - self._now
            detail = f"ts {ts:g} is {ts - self._now:g} ahead of the graph's latest time {self._now:g}, {most:g} at most"
        hint = "PUT /schema with ts_ahead_max allows more, PUT /clock sets the latest time"
        self._reject(index, event, "ts-ahead", f"{detail}: {hint}")

    def _hold_width(self, x: list[float] | SparseFeatures) -> str | None:
        """From the first features on the width is held; why these do not have it."""
        if self.width is None and isinstance(x, list):
            self.width = len(x)
        self.width_held = self.width is not None
        if isinstance(x, list):
            if len(x) != self.width:
                return f"{len(x)} features where this graph's nodes have {self.width}"
        elif self.width is None:
            return "sparse features need a declared width, and this graph has none"
        elif x.indices and max(x.indices) >= self.width:
            return f"index {max(x.indices)} is not below the feature width {self.width}"
        return None

    def _reject(self, index: int, event: Event, reason: RejectionReason, detail: str) -> None:
        self.rejected.append(Rejection(index, cast("RejectedOp", event.__struct_config__.tag), reason, detail))

    def _reject_class(self, index: int, event: Event, label: str | int) -> None:
        self._reject(index, event, "too-many-classes", str(TooManyClasses(str(label), self._max_classes)))

    def _reject_removed(self, index: int, event: Event, node: str) -> None:
        self._reject(index, event, "removed-node", f"node {node!r} was removed; an upsert_node brings it back")

    def _reject_missing(self, index: int, event: Event, node: str) -> None:
        if node in self._nodes.removed:
            self._reject_removed(index, event, node)
        else:
            self._reject(index, event, "unknown-node", f"there is no node {node!r}")

    def _reject_unknown_edge(self, index: int, event: RemoveEdge) -> None:
        self._reject(index, event, "unknown-edge", f"there is no edge from {str(event.src)!r} to {str(event.dst)!r}")
