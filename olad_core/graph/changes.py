"""What one batch of events did to the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.events import RejectedOp, RejectionReason

Rows = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rejection:
    """An event that could not be applied and changed nothing.

    Attributes:
        index: place of the event in its batch.
        op: kind of event, ``upsert_edge``.
        reason: why, one word.
        detail: one sentence for people.
    """

    index: int
    op: RejectedOp
    reason: RejectionReason
    detail: str


@dataclass(frozen=True)
class Changes:
    """Net effect of one batch: what came and went within it does not show.

    A node that was there, was removed and came back within the batch is a new node: its old row is in
    ``removed_rows``, its id in ``removed_ids``, its new row in ``created``.

    Attributes:
        created: int64, rows that are new and alive, in order of arrival.
        features: int64, ascending: rows whose features differ from before; new nodes with features included.
        labelled: int64: living rows that a label event named, whether or not it changed anything, in order of the
            last such event. Their class is in ``DynamicGraph.label``.
        label_differs: bool, one for each of ``labelled``: its class was unknown before the batch, or was another.
        removed_rows: int64: rows that were alive before the batch and are not now, in order of removal.
        removed_ids: their ids.
        edge_source: int64, one for each arc whose weight changed, ascending by source, then target. An undirected
            edge has an arc in each direction, a self-loop has one. Arcs of removed nodes are there, expired ones too.
        edge_target: int64.
        weight_before: float32, 0 where there was no arc.
        weight_after: float32, 0 where there is none.
        expired: number of edges that left by age.
        rejected: events that could not be applied, in order.
        anything: whether nodes, features, labels or weights differ from before the batch.
    """

    created: Rows
    features: Rows
    labelled: Rows
    label_differs: npt.NDArray[np.bool_]
    removed_rows: Rows
    removed_ids: list[str]
    edge_source: Rows
    edge_target: Rows
    weight_before: Weights
    weight_after: Weights
    expired: int
    rejected: list[Rejection]
    anything: bool


class Arcs(NamedTuple):
    """Weight changes, one an arc."""

    source: Rows
    target: Rows
    before: Weights
    after: Weights


def net_arcs(key: Rows, before: Weights, after: Weights, *, directed: bool) -> Arcs:
    """Sum up a log of weight changes, in order of time, into the net change of every arc, in order of its ends."""
    order = np.argsort(key, kind="stable")
    key, before, after = key[order], before[order], after[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    last = np.append(first[1:], key.size)[: first.size] - 1
    key, before, after = key[first], before[first], after[last]
    changed = before != after
    key, before, after = key[changed], before[changed], after[changed]
    source, target = key >> 32, key & 0xFFFFFFFF
    if not directed:
        other = np.flatnonzero(source != target)
        source, target = np.append(source, target[other]), np.append(target, source[other])
        before, after = np.append(before, before[other]), np.append(after, after[other])
        order = np.lexsort((target, source))
        source, target, before, after = source[order], target[order], before[order], after[order]
    return Arcs(source, target, before, after)
