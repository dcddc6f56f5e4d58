"""All layers of one frozen student for all nodes, kept equal to a full recomputation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.device import to_device
from olad_core.graph import DynamicGraph
from olad_core.messages.sample import in_weight, inputs
from olad_core.serving.attention import AttentionSums
from olad_core.serving.propagation import (
    Propagation,
    Recomputing,
    Renewed,
    Step,
    copied,
    distinct,
    lengthened,
    places,
)
from olad_core.serving.sums import Sums, operations
from olad_core.serving.touched import Touch
from olad_core.step_size import FULL_SIZE, StepSize
from olad_core.students import GAT, LinearStudent, Student
from olad_core.tasks import node_class

Rows = npt.NDArray[np.int64]

CHUNK = 131_072
"""Work in one slice of background work, in rows of layers: bounds its length."""
EDGES_PER_ROW = 4
"""Incoming edges that are as much work as a row itself."""
PIECE = 2048
"""Rows computed at once: what lies between two operations on them stays in the cache."""

Recall = Callable[[Rows], Tensor | None]


def without_memory(rows: Rows) -> None:
    """What a student recalls that does not remember."""


def propagation(student: Student, classes: int, device: torch.device) -> Propagation:
    """How a student's layers are followed."""
    if isinstance(student, LinearStudent):
        return Sums(student, classes, device)
    if isinstance(student, GAT) and device.type == "cpu":
        return AttentionSums(student, classes)
    return Recomputing(student, classes)


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
        self._exchange = operations(device).exchange
        self._layers: list[Tensor]
        self._allocate()
        self._frontier = (0, 0)

    @property
    def complete(self) -> bool:
        """Whether every node has its probabilities."""
        return self._frontier[0] == len(self._layers)

    def progress(self, graph: DynamicGraph) -> float:
        """Share of the work that is done, in ``[0, 1]``."""
        layer, row = self._frontier
        return min(1.0, (layer + row / max(graph.capacity, 1)) / len(self._layers))

    def advance(self, graph: DynamicGraph, size: StepSize = FULL_SIZE) -> Rows:
        """Compute one more slice; returns the rows whose probabilities it filled."""
        if self._frontier == (0, 0):
            self._in_weight = in_weight(graph, np.arange(graph.capacity), self._device)
            self._propagation.begin(self._in_weight)
        self._fit(graph)
        filled: list[Rows] = []
        left = max(1, size.of(CHUNK))
        while left > 0 and not self.complete:
            layer = self._frontier[0]
            rows, work = self._fill(graph, left)
            left -= work
            if layer == len(self._layers) - 1:
                filled.append(rows)
        return np.concatenate([np.empty(0, dtype=np.int64), *filled])

    def begin_anew(self) -> None:
        """Follow a graph whose rows are given out from the first one again: it has no node."""
        complete = self.complete
        self._allocate()
        self._frontier = (len(self._layers), 0) if complete else (0, 0)

    def update(self, graph: DynamicGraph, touch: Touch) -> Rows:
        """Follow a change of the graph; returns the rows whose probabilities changed."""
        self._fit(graph)
        index = self._index(touch.edges)
        weight_before, weight = self._in_weight[index], in_weight(graph, touch.edges, self._device)
        self._in_weight[index] = weight
        reweighted = touch.edges[(weight_before != weight).cpu().numpy()]
        rows = self._told(graph, touch, reweighted)
        with torch.no_grad():
            step = Step(graph, touch, self._layers, self._in_weight, weight_before, reweighted)
            receive = self._propagation.follow(step)
            renewed = self._renew(graph, 0, rows[rows < self._limit(0)])
            for layer in range(1, len(self._layers)):
                if self._limit(layer) == 0:
                    return np.empty(0, dtype=np.int64)
                renewed = self._renew(graph, layer, receive(layer, renewed, self._limit(layer)))
        # A row that was freed and taken again may by chance hold the same values for another node.
        return renewed.rows[renewed.changed | (places(touch.created, renewed.rows) >= 0)]

    def probabilities(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Class probabilities ``[n, C]`` of computed rows."""
        return self._layers[-1][self._index(rows), node_class.CLASSES].cpu().numpy()

    def disagreement(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Disagreement ``[n]`` to be expected in the student's group about computed rows, from 0 to 1."""
        return self._layers[-1][self._index(rows), node_class.DISAGREEMENT].cpu().numpy()

    def computed(self, graph: DynamicGraph) -> Rows:
        """The nodes that have their probabilities."""
        alive = np.flatnonzero(graph.alive)
        return alive[alive < self._limit(len(self._layers) - 1)]

    def broken(self, graph: DynamicGraph) -> int:
        """How many nodes have probabilities that are no numbers."""
        if bool(torch.isfinite(self._layers[-1].sum())):
            return 0
        return int(np.count_nonzero(~np.isfinite(self.probabilities(self.computed(graph))).all(axis=1)))

    def state(self, rows: int | None = None) -> dict[str, Tensor]:
        """Tensors for a checkpoint: weights, layers, sums and frontier. Those in use, not copies of them.

        Args:
            rows: from there on no row was ever used.
        """
        tensors = {f"student/{name}": value for name, value in self.student.state_dict().items()}
        tensors |= {f"layer/{number}": layer[:rows] for number, layer in enumerate(self._layers)}
        tensors |= self._propagation.state(rows)
        tensors |= {"in_weight": self._in_weight[:rows], "frontier": torch.tensor(self._frontier)}
        return {name: tensor.detach() for name, tensor in tensors.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the tensors of :meth:`state`."""
        weights = {name.removeprefix("student/"): t for name, t in tensors.items() if name.startswith("student/")}
        self.student.load_state_dict(weights)
        self._layers = [copied(tensors[f"layer/{number}"], self._device) for number in range(len(self._layers))]
        self._in_weight = tensors["in_weight"].to(self._device, copy=True)
        self._propagation.restore(tensors, self._in_weight)
        layer, row = tensors["frontier"].tolist()
        self._frontier = (layer, row)

    def _allocate(self) -> None:
        self._propagation = propagation(self.student, self.classes, self._device)
        self._layers = [torch.zeros(0, width, device=self._device) for width in self._propagation.widths]
        self._in_weight = torch.zeros(0, device=self._device)

    def _fill(self, graph: DynamicGraph, most: int) -> tuple[Rows, int]:
        """Compute the next rows of the frontier's layer, as many as that much work is; returns them and their work."""
        layer, row = self._frontier
        end = min(row + most, graph.capacity)
        rows: Rows = np.flatnonzero(graph.alive[row:end]) + row
        work = np.cumsum(1 + graph.in_degree(rows) // EDGES_PER_ROW) if layer > 0 else np.arange(1, len(rows) + 1)
        count = max(1, int(np.searchsorted(work, most, side="right")))
        if count < len(rows):
            rows, end = rows[:count], int(rows[count])
        with torch.no_grad():
            self._frontier = (layer, end)
            if layer > 0:
                self._propagation.sum_afresh(graph, self._layers, layer, rows)
            self._renew(graph, layer, rows)
        self._frontier = (layer, end) if end < graph.capacity else (layer + 1, 0)
        return rows, int(work[len(rows) - 1]) if len(rows) else 0

    def _limit(self, layer: int) -> int:
        """Rows of a layer below this one are computed."""
        frontier, row = self._frontier
        if layer > frontier:
            return 0
        return row if layer == frontier else self._layers[layer].shape[0]

    def _told(self, graph: DynamicGraph, touch: Touch, reweighted: Rows) -> Rows:
        """Rows of which the student is told something else."""
        told = [touch.features, touch.labels]
        if self.student.feature_width == 0:  # The degree is told instead.
            told.append(reweighted)
        if self.student.remembers:
            told.append(touch.remembered)
        return distinct(graph, *told)

    def _renew(self, graph: DynamicGraph, layer: int, rows: Rows) -> Renewed:
        """Compute rows of a layer; what is kept of them beside the layers is up to date."""
        if not len(rows):
            return Renewed(rows, self._layers[layer][:0], np.empty(0, np.bool_))
        held = []
        for start in range(0, len(rows), PIECE):
            piece = rows[start : start + PIECE]
            held.append(self._exchange(self._layers[layer], piece, self._rows(graph, layer, piece)))
        before, changed = zip(*held, strict=True)
        return Renewed(rows, torch.cat(before), np.concatenate(changed))

    def _rows(self, graph: DynamicGraph, layer: int, rows: Rows) -> Tensor:
        if layer > 0:
            return self._propagation.rows(graph, self._layers, layer, rows, self._in_weight)
        told = inputs(graph, rows, self.student.feature_width, self._device)
        encoded = self.student.encode(replace(told, memory=self._recall(rows)), self.student.scale)
        return self._propagation.raised(0, encoded)

    def _index(self, rows: Rows) -> Tensor:
        return to_device(rows, self._device)

    def _fit(self, graph: DynamicGraph) -> None:
        """Room for every row of the graph."""
        self._in_weight = lengthened(self._in_weight, graph.capacity)
        self._layers = [lengthened(layer, graph.capacity) for layer in self._layers]
        self._propagation.fit(self._in_weight)
