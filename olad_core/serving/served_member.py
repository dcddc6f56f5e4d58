"""The layers of one frozen student for all rows. Which rows are due is known to the embedding that holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.device import to_device
from olad_core.graph import DynamicGraph, Neighbours
from olad_core.named_state import join_parts, take_part
from olad_core.serving.first_layer import FirstLayer, first_layer
from olad_core.serving.propagation import Propagation, copied, lengthened, operations, propagation
from olad_core.students import Inputs, Student
from olad_core.tasks import node_class

Rows = npt.NDArray[np.int64]
Recall = Callable[[Rows], Tensor | None]


_EMBEDDING = "embedding"
"""Name of the last layer in a checkpoint, where it holds embeddings."""


def without_memory(rows: Rows) -> None:
    """What a student recalls that does not remember."""


class ServedMember:
    """Layer 0 to the answers of a frozen student.

    Args:
        student: its weights must not change any more.
        classes: number of classes it predicts.
        device: where it computes and where the layers stay.
        recall: hidden states of rows, for a student that remembers.
    """

    def __init__(self, student: Student, classes: int, device: torch.device, recall: Recall = without_memory) -> None:
        self.student = student.eval().requires_grad_(False)
        self.classes = classes
        self.layers: list[Tensor]
        """Rows of each layer; the last one holds answers, or with many classes the embeddings of these."""
        self._device = device
        self.recall = recall
        self._exchange = operations(device).exchange
        self.propagation: Propagation
        """How its layers follow from each other."""
        self.first_layer: FirstLayer | None
        """Its first layer in parts, where that is possible."""
        self.allocate()

    def on_part(self, rows: Rows) -> ServedMember:
        """The same student without rows, for a part of the graph.

        Args:
            rows: of the whole graph, of the first rows of the part, whose hidden states these have. Others have none.
        """

        def recall(places: Rows) -> Tensor | None:
            known = places < len(rows)
            states = self.recall(rows[places[known]])
            if states is None:
                return None
            found = states.new_zeros(len(places), states.shape[1])
            found[to_device(np.flatnonzero(known), self._device)] = states
            return found

        return ServedMember(self.student, self.classes, self._device, recall)

    def allocate(self) -> None:
        """Begin without rows."""
        self.propagation = propagation(self.student, self.classes, self._device)
        self.first_layer = first_layer(self.propagation) if self._device.type == "cpu" else None
        self.layers = [torch.zeros(0, width, device=self._device) for width in self.propagation.widths]

    def begin(self, in_weight: Tensor) -> None:
        """Start with a graph whose sums of incoming weights are these."""
        self.propagation.begin(in_weight)

    def reweigh(self, rows: Rows, in_weight: Tensor) -> None:
        """Follow other sums of incoming weights, of these rows; ``in_weight`` is of all rows."""
        self.propagation.reweigh(rows, in_weight)

    def reserve(self, rows: int, in_weight: Tensor) -> None:
        """Lengthen all layers to so many rows; ``in_weight`` is of all of them."""
        self.layers = [lengthened(layer, rows) for layer in self.layers]
        self.propagation.reweigh(np.empty(0, np.int64), in_weight)

    def write_inputs(self, rows: Rows, given: Inputs) -> npt.NDArray[np.bool_]:
        """Compute rows of layer 0 from their inputs, to which the memory is added; bool ``[n]``, whether they differ.

        The difference is to what the rows held before.
        """
        encoded = self.student.encode(replace(given, memory=self.recall(rows)), self.student.scale)
        return self._exchange(self.layers[0], rows, self.propagation.raised(0, encoded))

    def compute(self, graph: DynamicGraph, layer: int, rows: Rows, near: Neighbours) -> None:
        """Compute rows of a layer above the first from the layer below, ``near`` being their in-neighbours."""
        values = self.propagation.rows(graph, self.layers, layer, rows, near)
        self._exchange(self.layers[layer], rows, values)

    def write(self, layer: int, rows: Rows, values: Tensor) -> None:
        """Write computed rows of a layer."""
        self._exchange(self.layers[layer], rows, values)

    def probabilities(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Class probabilities ``[n, C]`` of computed rows."""
        return self.answers(rows)[:, node_class.CLASSES]

    def answers(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Answers ``[n, 1 + C]`` of computed rows.

        The disagreement is the one to be expected in the student's group.
        """
        with torch.no_grad():
            return self.propagation.answers(self.layers[-1][to_device(rows, self._device)]).cpu().numpy()

    def column(self, rows: Rows, number: int) -> npt.NDArray[np.float32]:
        """One column ``[n]`` of the answers of computed rows; fast where the last layer holds answers."""
        if self.keeps_embeddings:
            return self.answers(rows)[:, number]
        return self.layers[-1][:, number][to_device(rows, self._device)].cpu().numpy()

    @property
    def keeps_embeddings(self) -> bool:
        """Whether the last layer holds embeddings."""
        return self.propagation.keeps_embeddings

    @property
    def is_finite(self) -> bool:
        """Whether all answers are numbers; False where that cannot be seen at once."""
        largest = self.layers[-1].abs().sum()
        if self.keeps_embeddings:
            head = self.student.head
            largest = (largest * head.weight.abs().sum() + head.bias.abs().sum()) / self.student.temperature
        return bool(torch.isfinite(largest))

    def state(self, rows: int | None) -> dict[str, Tensor]:
        """Tensors for a checkpoint: weights, and the first rows of the layers. Those in use, not copies of them."""
        layers = {str(number): layer[:rows] for number, layer in enumerate(self.layers)}
        parts = {"student": self.student.state_dict(), "layer": layers}
        if not self.keeps_embeddings:
            return join_parts(parts)
        # By its name a checkpoint says that these are no answers, which earlier releases kept.
        _, embedding = layers.popitem()
        return join_parts(parts) | {_EMBEDDING: embedding}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the tensors of :meth:`state`."""
        self.student.load_state_dict(take_part(tensors, "student"))
        layers = list(take_part(tensors, "layer").items())
        held = [layer for _, layer in sorted(layers, key=lambda layer: int(layer[0]))]
        if self.keeps_embeddings:
            held.append(tensors[_EMBEDDING])
        self.layers = [copied(layer, self._device) for layer in held]
