"""All layers of one frozen student for all nodes, kept equal to a full recomputation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.distill.sample import in_weight, inputs, to_block
from olad_core.graph import DynamicGraph, Neighbours
from olad_core.inference.totals import send, send_arcs
from olad_core.inference.touched import Touch
from olad_core.students import Block, LinearStudent, Student
from olad_core.students.aggregate import aggregate

Rows = npt.NDArray[np.int64]

CHUNK = 8192
"""Rows computed at once: bounds the memory of one operation and the length of one slice of background work."""
REFRESH = 1
"""Incoming edges whose sum is computed afresh for each arc that changed: bounds the rounding errors of differences."""
FALLEN = 0.25
"""A sum whose weight has fallen below this share of its greatest since it was computed afresh is computed afresh."""


Recall = Callable[[Rows], Tensor | None]


def without_memory(rows: Rows) -> None:
    """What a student recalls that does not remember."""


@dataclass(frozen=True)
class Renewed:
    """Rows of one layer that were written.

    Attributes:
        rows: distinct graph rows, ascending.
        before: ``[n, d]``, what stood there.
        changed: bool ``[n]``, whether other bytes stand there now.
    """

    rows: Rows
    before: Tensor
    changed: npt.NDArray[np.bool_]


class Embedding:
    """Layer 0 to the probabilities of a frozen student, for the rows of a live graph.

    A new embedding is filled layer by layer in slices (:meth:`advance`) while the graph goes on changing
    (:meth:`update`): layers below the frontier are complete, the frontier's layer is complete up to its row,
    and a change renews just those of its touched rows that were computed before.

    For a linear student the sums of messages are kept and followed by differences; for any other, touched
    rows are computed from all their neighbours.

    Args:
        student: its weights must not change any more.
        classes: number of classes it speaks of.
        device: where it computes and where the layers stay.
        recall: hidden states of rows, for a student that remembers.
    """

    def __init__(self, student: Student, classes: int, device: torch.device, recall: Recall = without_memory) -> None:
        self.student = student.eval().requires_grad_(False)
        self.classes = classes
        self._device = device
        self._recall = recall
        widths = (*student.layer_widths[:-1], classes)
        self._layers = [torch.zeros(0, width, device=device) for width in widths]
        sums = student.message_widths if isinstance(student, LinearStudent) else ()
        self._totals = [torch.zeros(0, width, device=device) for width in sums]
        self._in_weight = torch.zeros(0, device=device)
        self._peak = torch.zeros(0, device=device)
        self._frontier = (0, 0)
        self._refreshed = 0

    @property
    def complete(self) -> bool:
        """Whether every node has its probabilities."""
        return self._frontier[0] == len(self._layers)

    def progress(self, graph: DynamicGraph) -> float:
        """Share of the work that is done, in ``[0, 1]``."""
        layer, row = self._frontier
        return min(1.0, (layer + row / max(graph.capacity, 1)) / len(self._layers))

    def advance(self, graph: DynamicGraph, share: float = 1.0) -> Rows:
        """Compute one slice more, or a share of one; returns the rows whose probabilities it filled."""
        if self.complete:
            return np.empty(0, dtype=np.int64)
        if self._frontier == (0, 0):
            self._in_weight = in_weight(graph, np.arange(graph.capacity), self._device)
            self._peak = self._in_weight.clone()
        self._fit(graph)
        layer, row = self._frontier
        end = min(row + max(1, round(share * CHUNK)), graph.capacity)
        rows = np.flatnonzero(graph.alive[row:end]) + row
        with torch.no_grad():
            self._frontier = (layer, end)
            if layer > 0 and isinstance(self.student, LinearStudent):
                self._sum_afresh(graph, self.student, layer, rows)
            self._renew(graph, layer, rows)
        self._frontier = (layer, end) if end < graph.capacity else (layer + 1, 0)
        return rows if layer == len(self._layers) - 1 else rows[:0]

    def update(self, graph: DynamicGraph, touch: Touch) -> Rows:
        """Follow a change of the graph; returns the rows whose probabilities changed, byte for byte."""
        self._fit(graph)
        index = self._index(touch.edges)
        weight_before, weight = self._in_weight[index], in_weight(graph, touch.edges, self._device)
        self._in_weight[index] = weight
        reweighted = touch.edges[(weight_before != weight).cpu().numpy()]
        refresh = np.union1d(self._fallen(touch.edges, weight), self._next_to_refresh(graph, touch))
        rows = self._told(touch, reweighted)
        last = len(self._layers) - 1
        with torch.no_grad():
            for layer in range(last + 1):
                if self._limit(layer) == 0:
                    return np.empty(0, dtype=np.int64)
                renewed = self._renew(graph, layer, rows[rows < self._limit(layer)])
                if layer < last:
                    changed = renewed.rows[renewed.changed]
                    senders = np.union1d(changed, reweighted) if self.student.uses_degree else changed
                    rows = self._receivers(graph, layer + 1, senders, renewed, touch, weight_before, refresh)
        # A row that was freed and taken again may by chance hold the same bytes for another node.
        return np.union1d(renewed.rows[renewed.changed], np.intersect1d(renewed.rows, touch.created))

    def probabilities(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Class probabilities ``[n, C]`` of computed rows."""
        return self._layers[-1][self._index(rows)].cpu().numpy()

    def computed(self, graph: DynamicGraph) -> Rows:
        """The nodes that have their probabilities."""
        alive = np.flatnonzero(graph.alive)
        return alive[alive < self._limit(len(self._layers) - 1)]

    def state(self, rows: int | None = None) -> dict[str, Tensor]:
        """Tensors for a checkpoint: weights, layers, sums and frontier. Those in use, not copies of them.

        Args:
            rows: from there on no row was ever used.
        """
        tensors = {f"student/{name}": value for name, value in self.student.state_dict().items()}
        tensors |= {f"layer/{number}": layer[:rows] for number, layer in enumerate(self._layers)}
        tensors |= {f"totals/{number}": totals[:rows] for number, totals in enumerate(self._totals)}
        tensors |= {
            "in_weight": self._in_weight[:rows],
            "peak": self._peak[:rows],
            "frontier": torch.tensor(self._frontier),
            "refreshed": torch.tensor(self._refreshed),
        }
        return {name: tensor.detach() for name, tensor in tensors.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the tensors of :meth:`state`."""
        weights = {name.removeprefix("student/"): t for name, t in tensors.items() if name.startswith("student/")}
        self.student.load_state_dict(weights)
        self._layers = [tensors[f"layer/{number}"].to(self._device, copy=True) for number in range(len(self._layers))]
        self._totals = [tensors[f"totals/{number}"].to(self._device, copy=True) for number in range(len(self._totals))]
        self._in_weight = tensors["in_weight"].to(self._device, copy=True)
        self._peak = tensors["peak"].to(self._device, copy=True)
        layer, row = tensors["frontier"].tolist()
        self._frontier = (layer, row)
        self._refreshed = int(tensors["refreshed"])

    def _limit(self, layer: int) -> int:
        """Rows of a layer below this one are computed."""
        frontier, row = self._frontier
        if layer > frontier:
            return 0
        return row if layer == frontier else self._layers[layer].shape[0]

    def _told(self, touch: Touch, reweighted: Rows) -> Rows:
        """Rows of which the student is told something else."""
        rows = touch.inputs
        if self.student.feature_width == 0:  # The degree is told instead.
            rows = np.union1d(rows, reweighted)
        return np.union1d(rows, touch.remembered) if self.student.remembers else rows

    def _receivers(
        self,
        graph: DynamicGraph,
        layer: int,
        senders: Rows,
        below: Renewed,
        touch: Touch,
        weight_before: Tensor,
        refresh: Rows,
    ) -> Rows:
        """Touched rows of a layer; for a linear student their sums are up to date afterwards."""
        near = graph.out_neighbours(senders)
        touched = [near.index, below.rows[below.changed], touch.edges]
        if isinstance(self.student, LinearStudent):
            self._send(self.student, layer, senders, near, below, touch, weight_before)
            self._sum_afresh(graph, self.student, layer, np.union1d(touch.created, refresh))
            touched.append(refresh)
        rows = np.sort(graph.distinct(np.concatenate(touched)))
        return rows[(rows < self._limit(layer)) & graph.alive[rows]]

    def _send(
        self,
        student: LinearStudent,
        layer: int,
        senders: Rows,
        near: Neighbours,
        below: Renewed,
        touch: Touch,
        weight_before: Tensor,
    ) -> None:
        """Send differences of messages along the edges, and old messages along the changes of weights."""

        def old(rows: Rows) -> Tensor:
            """What these rows sent before."""
            values = _replaced(self._layers[layer - 1][self._index(rows)], rows, below.rows, below.before)
            weights = _replaced(self._in_weight[self._index(rows)], rows, touch.edges, weight_before)
            return student.message(layer, values, weights)

        index, totals, limit = self._index(senders), self._totals[layer - 1], self._limit(layer)
        new = student.message(layer, self._layers[layer - 1][index], self._in_weight[index])
        send(totals, near, new - old(senders), limit)
        sources, place = np.unique(touch.arc_source, return_inverse=True)
        send_arcs(totals, touch.arc_target, touch.arc_change, old(sources), place, limit)

    def _sum_afresh(self, graph: DynamicGraph, student: LinearStudent, layer: int, rows: Rows) -> None:
        """Compute the sums of rows from all their neighbours."""
        rows = rows[rows < self._limit(layer)]
        block, sources = to_block(graph, rows, graph.in_neighbours(rows), self._device)
        index = self._index(sources)
        messages = student.message(layer, self._layers[layer - 1][index], self._in_weight[index])
        self._totals[layer - 1][self._index(rows)] = aggregate(messages, block.weight, block)

    def _renew(self, graph: DynamicGraph, layer: int, rows: Rows) -> Renewed:
        """Compute rows of a layer; the sums of a linear student are up to date."""
        before = self._layers[layer][self._index(rows)]
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            self._layers[layer][self._index(chunk)] = self._rows(graph, layer, chunk)
        changed = (self._layers[layer][self._index(rows)] != before).any(dim=1)
        return Renewed(rows, before, changed.cpu().numpy())

    def _rows(self, graph: DynamicGraph, layer: int, rows: Rows) -> Tensor:
        student = self.student
        if layer == 0:
            told = inputs(graph, rows, student.feature_width, self._device)
            return student.encode(replace(told, memory=self._recall(rows)), student.scale)
        if isinstance(student, LinearStudent):
            index = self._index(rows)
            own, weights = self._layers[layer - 1][index], self._in_weight[index]
            computed = student.combine(layer, own, self._totals[layer - 1][index], weights)
        else:
            computed = student.layer(layer, *self._neighbourhood(graph, layer - 1, rows))
        if layer < len(self._layers) - 1:
            return computed
        return student.classify(computed)[:, : self.classes].softmax(dim=1)

    def _fallen(self, rows: Rows, weight: Tensor) -> Rows:
        """Rows that lost most of the weight that was summed up in them: what is left would be mostly rounding error."""
        index = self._index(rows)
        peak = torch.maximum(self._peak[index], weight)
        fallen = weight < FALLEN * peak
        self._peak[index] = torch.where(fallen, weight, peak)
        lost: Rows = rows[fallen.cpu().numpy()]
        return lost

    def _neighbourhood(self, graph: DynamicGraph, layer: int, rows: Rows) -> tuple[Tensor, Block]:
        """Rows of a layer that hold all neighbours of ``rows``, and the block from the former to the latter."""
        near = graph.in_neighbours(rows)
        if self._device.type != "cpu":
            block, sources = to_block(graph, rows, near, self._device)
            return self._layers[layer][self._index(sources)], block
        # Students read what the block names: on a CPU there is no need to gather it first.
        targets, index, offsets, weight = map(torch.from_numpy, (rows, near.index, near.indptr, near.weight))
        return self._layers[layer], Block(targets, index, offsets, weight, self._in_weight)

    def _next_to_refresh(self, graph: DynamicGraph, touch: Touch) -> Rows:
        """The next rows, in turn, whose sums are computed afresh, with about as many edges as the change is worth."""
        edges = REFRESH * len(touch.arc_source)
        if self._refreshed >= graph.capacity:
            self._refreshed = 0
        rows = np.arange(self._refreshed, min(self._refreshed + edges, graph.capacity))
        rows = rows[: int(np.searchsorted(np.cumsum(graph.in_degree(rows) + 1), edges)) + 1]
        self._refreshed += len(rows)
        living: Rows = rows[graph.alive[rows]]
        return living

    def _index(self, rows: Rows) -> Tensor:
        return torch.from_numpy(rows).to(self._device)

    def _fit(self, graph: DynamicGraph) -> None:
        """Room for every row of the graph."""
        missing = graph.capacity - self._in_weight.shape[0]
        if missing > 0:
            self._in_weight = torch.cat([self._in_weight, self._in_weight.new_zeros(missing)])
            self._peak = torch.cat([self._peak, self._peak.new_zeros(missing)])
        for tables in (self._layers, self._totals):
            for number, table in enumerate(tables):
                missing = graph.capacity - table.shape[0]
                if missing > 0:
                    tables[number] = torch.cat([table, table.new_zeros(missing, table.shape[1])])


def _replaced(values: Tensor, rows: Rows, known: Rows, before: Tensor) -> Tensor:
    """``values`` of ``rows``, with what ``known`` (ascending) had ``before`` in the place of what they have."""
    if not len(known):
        return values
    place = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    found = np.flatnonzero(known[place] == rows)
    device = values.device
    values[torch.from_numpy(found).to(device)] = before[torch.from_numpy(place[found]).to(device)]
    return values
