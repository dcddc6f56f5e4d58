"""Weighted sums of messages for all rows of a linear student's layers, kept up by sending differences.

The idea is that of RIPPLE (Naman & Simmhan, "Ripple: Scalable Incremental GNN Inferencing on Large Streaming
Graphs"): with ``S = W M``, a change of messages and weights changes the sums by
``W_new (M_new - M_old) + (W_new - W_old) M_old``, which costs what changed and not what stayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from olad_core.graph import DynamicGraph
from olad_core.inference import loops, tensors
from olad_core.inference.operations import Messages, Operations, Rows
from olad_core.inference.propagation import Propagation, Receive, Renewed, Step, distinct, lengthened, places
from olad_core.students.linear import Factors, LinearStudent

REFRESH = 1
"""Incoming edges, in turn, whose sum is computed afresh for each arc that changed."""
WORN = 1000, 0.5
"""A sum is computed afresh when it has received this many differences, and so many for each of its edges: every one
leaves a rounding error, and hubs receive most."""
FALLEN = 0.25
"""A sum whose weight has fallen below this share of its greatest since it was computed afresh is computed afresh."""


def operations(device: torch.device) -> Operations:
    """What is fast on a device."""
    return loops if device.type == "cpu" else tensors


class Sums(Propagation):
    """The propagation of a linear student.

    Where its last layer is linear, the layer before holds logits: there are mostly fewer classes than the embedding
    is wide, and a change passes fewer rows on than it reaches.

    Args:
        student: frozen.
        classes: number of classes it speaks of.
        device: where everything is.
    """

    def __init__(self, student: LinearStudent, classes: int, device: torch.device) -> None:
        self._student = student
        self._device = device
        self._operations = operations(device)
        self._last = student.num_layers
        said = 1 + classes
        self._logits = student.ends_linearly and said < student.message_widths[-1]
        below, sums = list(student.prepared_widths), list(student.message_widths)
        if self._logits:
            below[-1] = sums[-1] = said
        self.widths = (*below, said)
        self._totals = [torch.zeros(0, width, device=device) for width in sums]
        self._factors = student.factors(torch.zeros(0, device=device))
        self._received = [np.zeros(0, np.int32) for _ in sums]
        self._peak = torch.zeros(0, device=device)
        self._refreshed, self._saved = 0, 0

    @override
    def raised(self, layer: int, rows: Tensor) -> Tensor:
        head, width = self._student.head, self.widths[-1]
        if layer == self._last:
            said = rows + head.bias[:width] if self._logits else self._student.read(rows)[:, :width]
            return self._student.answers(said)
        rows = self._student.prepare(layer + 1, rows)
        return F.linear(rows, head.weight[:width]) if self._logits and layer == self._last - 1 else rows

    @override
    def fit(self, in_weight: Tensor) -> None:
        known = len(self._peak)
        if len(in_weight) == known:
            return
        self._peak = lengthened(self._peak, len(in_weight))
        self._totals = [lengthened(totals, len(in_weight)) for totals in self._totals]
        self._received = [np.append(count, np.zeros(len(in_weight) - known, np.int32)) for count in self._received]
        more = self._student.factors(in_weight[known:])
        self._factors = Factors(*map(torch.cat, zip(self._factors, more, strict=True)))

    @override
    def begin(self, in_weight: Tensor) -> None:
        self.fit(in_weight)
        self._factors = self._student.factors(in_weight)
        self._peak = in_weight.clone()

    @override
    def sum_afresh(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows) -> None:
        totals, below, first = self._totals[layer - 1], layers[layer - 1], self._first(layer)
        self._operations.sum_up(totals, rows, graph.in_neighbours(rows), below, first, self._factors.sent)
        self._received[layer - 1][rows] = 0

    @override
    def rows(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows, in_weight: Tensor) -> Tensor:
        own, total, _ = self._factors
        below = layers[layer - 1]
        mixed = self._operations.mix(below, self._totals[layer - 1], rows, own, total)
        if not (self._logits and layer == self._last):
            mixed = self._student.finish(layer, mixed, below, self._index(rows))
        return self.raised(layer, mixed)

    @override
    def follow(self, step: Step) -> Receive:
        edges = step.touch.edges
        index = self._index(edges)
        weight = step.in_weight[index]
        factor_before = self._factors.sent[index]
        for table, values in zip(self._factors, self._student.factors(weight), strict=True):
            table[index] = values
        refresh = distinct(step.graph, self._fallen(edges, weight), self._next_to_refresh(step))
        return partial(self._receive, step, factor_before, refresh)

    @override
    def state(self, rows: int | None) -> dict[str, Tensor]:
        sums = {f"totals/{number}": totals[:rows] for number, totals in enumerate(self._totals)}
        sums |= {f"received/{number}": torch.from_numpy(count[:rows]) for number, count in enumerate(self._received)}
        return {**sums, "peak": self._peak[:rows], "refreshed": torch.tensor([self._refreshed, self._saved])}

    @override
    def restore(self, tensors: Mapping[str, Tensor], in_weight: Tensor) -> None:
        names = [f"totals/{number}" for number in range(len(self._totals))]
        self._totals = [tensors[name].to(self._device, copy=True) for name in names]
        self._received = [tensors[f"received/{number}"].numpy().copy() for number in range(len(self._totals))]
        self._factors = self._student.factors(in_weight)
        self._peak = tensors["peak"].to(self._device, copy=True)
        self._refreshed, self._saved = tensors["refreshed"].tolist()

    def _receive(
        self, step: Step, factor_before: Tensor, refresh: Rows, layer: int, below: Renewed, limit: int
    ) -> Rows:
        """See :data:`~olad_core.inference.propagation.Receive`; the sums of the layer are up to date afterwards."""
        graph, touch = step.graph, step.touch
        changed = below.rows[below.changed]
        senders = distinct(graph, changed, step.reweighted) if self._student.uses_degree else changed
        near = graph.out_neighbours(senders)
        messages = partial(self._messages, step, factor_before, layer, below)
        totals = self._totals[layer - 1]
        self._operations.send(totals, near, messages(senders), limit)
        self._operations.send_arcs(totals, touch.arc_target, touch.arc_change, messages(touch.arc_source), limit)
        afresh = distinct(graph, touch.created, refresh, self._worn(graph, layer, near.index))
        self.sum_afresh(graph, step.layers, layer, afresh[afresh < limit])
        rows = distinct(graph, near.index, changed, touch.edges, refresh)
        return rows[(rows < limit) & graph.alive[rows]]

    def _worn(self, graph: DynamicGraph, layer: int, receivers: Rows) -> Rows:
        """Count the differences that rows receive; the rows that have received too many of them."""
        rows, numbers = graph.localised(receivers[:0], receivers)
        received = self._received[layer - 1][rows] + np.bincount(numbers, minlength=len(rows)).astype(np.int32)
        self._received[layer - 1][rows] = received
        number, share = WORN
        worn: Rows = rows[received > np.maximum(number, share * graph.in_degree(rows))]
        return worn

    def _messages(self, step: Step, factor_before: Tensor, layer: int, below: Renewed, rows: Rows) -> Messages:
        """What rows send into a layer."""
        factor = self._factors.sent[self._index(rows)]
        before = factor
        if self._student.uses_degree:
            place = places(step.touch.edges, rows)
            found = np.flatnonzero(place >= 0)
            before = factor.clone()
            before[self._index(found)] = factor_before[self._index(place[found])]
        place = places(below.rows, rows)
        return Messages(rows, step.layers[layer - 1], self._first(layer), place, below.before, factor, before)

    def _first(self, layer: int) -> int:
        """Column from which on rows of the layer below are sent into a layer."""
        return 0 if self._logits and layer == self._last else self._student.sent_from

    def _fallen(self, rows: Rows, weight: Tensor) -> Rows:
        """Rows that lost most of the weight that was summed up in them: what is left would be mostly rounding error."""
        index = self._index(rows)
        peak = torch.maximum(self._peak[index], weight)
        fallen = weight < FALLEN * peak
        self._peak[index] = torch.where(fallen, weight, peak)
        lost: Rows = rows[fallen.cpu().numpy()]
        return lost

    def _next_to_refresh(self, step: Step) -> Rows:
        """The next rows, in turn, whose sums are computed afresh: as many edges as changed, saved up for hubs."""
        graph, edges = step.graph, REFRESH * len(step.touch.arc_source)
        begin = 0 if self._refreshed >= graph.capacity else self._refreshed
        rows = np.arange(begin, min(begin + edges, graph.capacity))
        cost = np.cumsum(graph.in_degree(rows) + 1)
        self._saved += edges
        rows = rows[: int(np.searchsorted(cost, self._saved, side="right"))]
        self._saved -= int(cost[len(rows) - 1]) if len(rows) else 0
        self._refreshed = begin + len(rows)
        if self._refreshed == graph.capacity:
            self._saved = 0
        living: Rows = rows[graph.alive[rows]]
        return living

    def _index(self, rows: Rows) -> Tensor:
        return torch.from_numpy(rows).to(self._device)
