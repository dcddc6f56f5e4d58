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

from olad_core.device import to_device
from olad_core.graph import DynamicGraph
from olad_core.serving import loops, tensors
from olad_core.serving.operations import Messages, Operations, Rows
from olad_core.serving.propagation import Propagation, Receive, Renewed, Step, copied, distinct, lengthened, places
from olad_core.serving.wear import FALLEN, Wear
from olad_core.students.linear import Factors, LinearStudent


def operations(device: torch.device) -> Operations:
    """What is fast on a device."""
    return loops if device.type == "cpu" else tensors


def together(factors: Factors) -> Factors:
    """The same in one table: those of one node then mostly stand in one line of the cache."""
    table = torch.stack(factors, dim=1)
    return Factors(*copied(table, table.device).unbind(1))


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
        self._factors = together(student.factors(torch.zeros(0, device=device)))
        self._peak = torch.zeros(0, device=device)
        self._wear = Wear(len(sums))

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
        self._wear.fit(len(in_weight))
        more = self._student.factors(in_weight[known:])
        self._factors = together(Factors(*map(torch.cat, zip(self._factors, more, strict=True))))

    @override
    def begin(self, in_weight: Tensor) -> None:
        self.fit(in_weight)
        self._factors = together(self._student.factors(in_weight))
        self._peak = in_weight.clone()

    @override
    def sum_afresh(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows) -> None:
        totals, below, first = self._totals[layer - 1], layers[layer - 1], self._first(layer)
        self._operations.sum_up(totals, rows, graph.in_neighbours(rows), below, first, self._factors.sent)
        self._wear.renew(layer, rows)

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
        refresh = distinct(
            step.graph, self._fallen(edges, weight), self._wear.next_in_turn(step.graph, len(step.touch.arc_source))
        )
        return partial(self._receive, step, factor_before, refresh)

    @override
    def state(self, rows: int | None) -> dict[str, Tensor]:
        sums = {f"totals/{number}": totals[:rows] for number, totals in enumerate(self._totals)}
        return {**sums, "peak": self._peak[:rows], **self._wear.state(rows)}

    @override
    def restore(self, tensors: Mapping[str, Tensor], in_weight: Tensor) -> None:
        names = [f"totals/{number}" for number in range(len(self._totals))]
        self._totals = [copied(tensors[name], self._device) for name in names]
        self._factors = together(self._student.factors(in_weight))
        self._peak = tensors["peak"].to(self._device, copy=True)
        self._wear.restore(tensors)

    def _receive(
        self, step: Step, factor_before: Tensor, refresh: Rows, layer: int, below: Renewed, limit: int
    ) -> Rows:
        """See :data:`~olad_core.serving.propagation.Receive`; the sums of the layer are up to date afterwards."""
        graph, touch = step.graph, step.touch
        changed = below.rows[below.changed]
        senders = distinct(graph, changed, step.reweighted) if self._student.uses_degree else changed
        near = graph.out_neighbours(senders)
        messages = partial(self._messages, step, factor_before, layer, below)
        totals = self._totals[layer - 1]
        self._operations.send(totals, near, messages(senders), limit)
        self._operations.send_arcs(totals, touch.arc_target, touch.arc_change, messages(touch.arc_source), limit)
        rows, times = graph.counted(near.index, np.concatenate([changed, touch.edges, refresh]))
        worn = self._wear.receive(graph, layer, rows[: len(times)], times)
        afresh = distinct(graph, touch.created, refresh, worn)
        self.sum_afresh(graph, step.layers, layer, afresh[afresh < limit])
        rows.sort()
        return rows[(rows < limit) & graph.alive[rows]]

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
        """Rows that lost most of the weight that was summed up in them."""
        index = self._index(rows)
        peak = torch.maximum(self._peak[index], weight)
        fallen = weight < FALLEN * peak
        self._peak[index] = torch.where(fallen, weight, peak)
        lost: Rows = rows[fallen.cpu().numpy()]
        return lost

    def _index(self, rows: Rows) -> Tensor:
        return to_device(rows, self._device)
