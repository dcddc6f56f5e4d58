"""Attention over all neighbours of all rows, kept up by sending differences.

A softmax couples a node's neighbours, but only in its denominator: with a reference that stays, numerator and
denominator are sums. What one neighbour adds to them depends on both ends, so rows whose own row in the layer below
changed are computed afresh.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from olad_core.graph import DynamicGraph
from olad_core.serving.attention_loops import Receivers, Senders, read, send, send_arcs, sum_up
from olad_core.serving.propagation import Receive, Recomputing, Renewed, Rows, Step, copied, lengthened, places
from olad_core.serving.wear import Wear
from olad_core.students.gat import GAT, SLOPE


class AttentionSums(Recomputing):
    """The propagation of a GAT on a CPU.

    Args:
        student: frozen.
        classes: number of classes it speaks of.
    """

    def __init__(self, student: GAT, classes: int) -> None:
        super().__init__(student, classes)
        self._gat = student
        layers = range(1, student.num_layers + 1)
        self._sums = [torch.zeros(0, student.width + 3 * student.heads_of(layer)) for layer in layers]
        self._wear = Wear(len(self._sums))
        self._stale = np.zeros(0, np.uint8)

    @override
    def fit(self, in_weight: Tensor) -> None:
        if len(in_weight) > len(self._sums[0]):
            self._sums = [lengthened(sums, len(in_weight)) for sums in self._sums]
            self._wear.fit(len(in_weight))
        if len(in_weight) > len(self._stale):
            self._stale = np.zeros(len(in_weight), np.uint8)

    @override
    def sum_afresh(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows) -> None:
        sum_up(self._receivers(layer, graph.capacity), rows, graph.in_neighbours(rows), layers[layer - 1])
        self._wear.renew(layer, rows)

    @override
    def rows(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows, in_weight: Tensor) -> Tensor:
        attended = read(self._sums[layer - 1], rows, self._gat.heads_of(layer))
        return self.raised(layer, self._gat.finish(layer, attended))

    @override
    def follow(self, step: Step) -> Receive:
        return partial(self._receive, step, self._wear.next_in_turn(step.graph, len(step.touch.arc_source)))

    @override
    def state(self, rows: int | None) -> dict[str, Tensor]:
        sums = {f"sums/{number}": sums[:rows] for number, sums in enumerate(self._sums)}
        return {**sums, **self._wear.state(rows)}

    @override
    def restore(self, tensors: Mapping[str, Tensor], in_weight: Tensor) -> None:
        self._sums = [copied(tensors[f"sums/{number}"], torch.device("cpu")) for number in range(len(self._sums))]
        self._wear.restore(tensors)

    def _receive(self, step: Step, refresh: Rows, layer: int, below: Renewed, limit: int) -> Rows:
        """See :data:`~olad_core.serving.propagation.Receive`; the sums of the layer are up to date afterwards."""
        graph, touch = step.graph, step.touch
        changed = below.rows[below.changed]
        near = graph.out_neighbours(changed)
        receivers, stale = self._receivers(layer, limit), self._stale
        others = np.concatenate([changed, touch.created, touch.arc_target, refresh])
        rows, times = graph.counted(near.index, others)
        for due in (changed, touch.created, refresh, self._wear.receive(graph, layer, rows[: len(times)], times)):
            stale[due] = 1
        send(receivers, near, _senders(step, layer, below, changed))
        send_arcs(receivers, touch.arc_target, touch.arc_change, _senders(step, layer, below, touch.arc_source))
        rows.sort()
        afresh, rows = rows[stale[rows] > 0], rows[(rows < limit) & graph.alive[rows]]
        stale[afresh] = 0
        self.sum_afresh(graph, step.layers, layer, afresh[(afresh < limit) & graph.alive[afresh]])
        return rows

    def _receivers(self, layer: int, limit: int) -> Receivers:
        sums, heads = self._sums[layer - 1].numpy(), self._gat.heads_of(layer)
        return Receivers(sums, self._stale, limit, heads, np.float32(SLOPE))


def _senders(step: Step, layer: int, below: Renewed, rows: Rows) -> Senders:
    return Senders(rows, places(below.rows, rows), step.layers[layer - 1].numpy(), below.before.numpy())
