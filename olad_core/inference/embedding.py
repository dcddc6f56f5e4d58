"""All layers of one frozen student for all nodes, kept equal to a full recomputation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.distill.sample import features, to_block
from olad_core.graph import DynamicGraph
from olad_core.inference.touched import Touch, layers_touched
from olad_core.students import Student

Rows = npt.NDArray[np.int64]

CHUNK = 8192
"""Rows computed at once: bounds the memory of one operation and the length of one slice of background work."""


class Embedding:
    """Layer 0 to the probabilities of a frozen student, for the rows of a live graph.

    A new embedding is filled layer by layer in slices (:meth:`advance`) while the graph goes on changing
    (:meth:`update`): layers below the frontier are complete, the frontier's layer is complete up to its row,
    and a change recomputes just those of its touched rows that were computed before.

    Args:
        student: its weights must not change any more.
        classes: number of classes it speaks of.
        device: where it computes and where the layers stay.
    """

    def __init__(self, student: Student, classes: int, device: torch.device) -> None:
        self.student = student.eval().requires_grad_(False)
        self.classes = classes
        self._device = device
        widths = (*student.layer_widths[:-1], classes)
        self._layers = [torch.zeros(0, width, device=device) for width in widths]
        self._frontier = (0, 0)

    @property
    def complete(self) -> bool:
        """Whether every node has its probabilities."""
        return self._frontier[0] == len(self._layers)

    def progress(self, graph: DynamicGraph) -> float:
        """Share of the work that is done, in ``[0, 1]``."""
        layer, row = self._frontier
        return min(1.0, (layer + row / max(graph.capacity, 1)) / len(self._layers))

    def advance(self, graph: DynamicGraph) -> Rows:
        """Compute one slice more; returns the rows whose probabilities it filled."""
        if self.complete:
            return np.empty(0, dtype=np.int64)
        self._fit(graph)
        layer, row = self._frontier
        end = min(row + CHUNK, graph.capacity)
        rows = np.flatnonzero(graph.alive[row:end]) + row
        self._compute(graph, layer, rows)
        self._frontier = (layer, end) if end < graph.capacity else (layer + 1, 0)
        return rows if layer == len(self._layers) - 1 else rows[:0]

    def update(self, graph: DynamicGraph, touch: Touch) -> Rows:
        """Follow a change of the graph; returns the rows whose probabilities changed, byte for byte."""
        self._fit(graph)
        frontier, reached = self._frontier
        touched = layers_touched(graph, touch, len(self._layers), uses_degree=self.student.uses_degree)
        for layer, rows in enumerate(touched):
            if layer > frontier:
                break
            computed = rows[rows < reached] if layer == frontier else rows
            if layer < len(self._layers) - 1:
                self._compute(graph, layer, computed)
                continue
            before = self._layers[layer][computed].cpu().numpy()
            self._compute(graph, layer, computed)
            changed = (self._layers[layer][computed].cpu().numpy() != before).any(axis=1)
            # A row that was freed and taken again may by chance hold the same bytes for another node.
            return np.union1d(computed[changed], np.intersect1d(computed, touch.created))
        return np.empty(0, dtype=np.int64)

    def probabilities(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Class probabilities ``[n, C]`` of computed rows."""
        return self._layers[-1][torch.from_numpy(rows).to(self._device)].cpu().numpy()

    def computed(self, graph: DynamicGraph) -> Rows:
        """The nodes that have their probabilities."""
        layer, row = self._frontier
        alive = np.flatnonzero(graph.alive)
        if self.complete:
            return alive
        return alive[alive < row] if layer == len(self._layers) - 1 else alive[:0]

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint: weights, layers and frontier."""
        tensors = {f"student/{name}": value.detach().cpu().clone() for name, value in self.student.state_dict().items()}
        tensors |= {f"layer/{number}": layer.cpu().clone() for number, layer in enumerate(self._layers)}
        return tensors | {"frontier": torch.tensor(self._frontier)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the tensors of :meth:`state`."""
        weights = {name.removeprefix("student/"): t for name, t in tensors.items() if name.startswith("student/")}
        self.student.load_state_dict(weights)
        self._layers = [tensors[f"layer/{number}"].to(self._device) for number in range(len(self._layers))]
        layer, row = tensors["frontier"].tolist()
        self._frontier = (layer, row)

    def _compute(self, graph: DynamicGraph, layer: int, rows: Rows) -> None:
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            index = torch.from_numpy(chunk).to(self._device)
            with torch.no_grad():
                self._layers[layer][index] = self._rows(graph, layer, chunk)

    def _rows(self, graph: DynamicGraph, layer: int, rows: Rows) -> Tensor:
        student = self.student
        if layer == 0:
            return student.encode(student.scale(features(graph, rows, student.feature_width, self._device)))
        near = graph.in_neighbours(rows)
        block = to_block(graph, rows, rows, near.indptr, near.index, None, near.weight, self._device)
        computed = student.layer(layer, self._layers[layer - 1], block)
        if layer < len(self._layers) - 1:
            return computed
        return student.classify(computed)[:, : self.classes].softmax(dim=1)

    def _fit(self, graph: DynamicGraph) -> None:
        """Room for every row of the graph."""
        missing = graph.capacity - self._layers[0].shape[0]
        if missing > 0:
            self._layers = [torch.cat([layer, layer.new_zeros(missing, layer.shape[1])]) for layer in self._layers]
