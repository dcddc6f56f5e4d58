"""What one batch of events did to the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.events import RejectedOp, RejectionReason
from olad_core.graph.compiled import compiled

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
        edge_source: int64, one for each arc whose weight or features changed, ascending by source, then target. An
            undirected edge has an arc in each direction, a self-loop has one. Arcs of removed nodes are there, expired
            ones too.
        edge_target: int64.
        weight_before: float32, 0 where there was no arc.
        weight_after: float32, 0 where there is none.
        stepped: int64: rows whose steps of structure differ, those of removed nodes too; see
            :class:`~olad_core.graph.structure.Structure`.
        stepped_columns: uint8, one for each of these: bit ``k`` where column ``k`` differs.
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
    stepped: Rows
    stepped_columns: npt.NDArray[np.uint8]
    expired: int
    rejected: list[Rejection]
    anything: bool


class Arcs(NamedTuple):
    """Weight changes, one an arc."""

    source: Rows
    target: Rows
    before: Weights
    after: Weights


def net_arcs(key: Rows, before: Weights, after: Weights, *, directed: bool, equal: bool = False) -> Arcs:
    """Sum up a log of weight changes, in order of time, into the net change of every arc, in order of its ends.

    With ``equal`` arcs are there, too, whose weight is the same as before.
    """
    most = key.size if directed else 2 * key.size
    net = _Net(np.empty(most, np.int64), np.empty(most, np.float32), np.empty(most, np.float32))
    count = _net(np.argsort(key, kind="stable"), key, before, after, directed, equal, net)
    order = np.argsort(net.key[:count])
    rows, weights = np.empty((2, count), np.int64), np.empty((2, count), np.float32)
    _in_order(order, net, rows, weights)
    return Arcs(rows[0], rows[1], weights[0], weights[1])


class _Net(NamedTuple):
    key: Rows
    before: Weights
    after: Weights


@compiled
def _net(order: Rows, key: Rows, before: Weights, after: Weights, directed: bool, equal: bool, net: _Net) -> int:
    """Fill ``net``, an undirected edge standing in both directions; how many arcs there are."""
    count = 0
    for at in range(order.size):
        edge = key[order[at]]
        if at == 0 or key[order[at - 1]] != edge:
            first = before[order[at]]
        if at + 1 < order.size and key[order[at + 1]] == edge:
            continue
        last = after[order[at]]
        if first == last and (last == 0 or not equal):
            continue
        source, target = edge >> 32, edge & 0xFFFFFFFF
        for turned in range(1 if directed or source == target else 2):
            net.key[count] = (target << 32) | source if turned else edge
            net.before[count] = first
            net.after[count] = last
            count += 1
    return count


@compiled
def _in_order(order: Rows, net: _Net, rows: Rows, weights: Weights) -> None:
    for at in range(order.size):
        rows[0, at] = net.key[order[at]] >> 32
        rows[1, at] = net.key[order[at]] & 0xFFFFFFFF
        weights[0, at] = net.before[order[at]]
        weights[1, at] = net.after[order[at]]
