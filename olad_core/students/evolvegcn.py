"""EvolveGCN-O (Pareja et al., "EvolveGCN: Evolving Graph Convolutional Networks for Dynamic Graphs")."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from olad_core.messages.inputs import Inputs
from olad_core.students.gcn import Convolution
from olad_core.students.initial_weights import add_diagonal
from olad_core.students.temporal import evolvegcn_cell

KEEPING = 4.0
"""Initial bias of the update gates: one step of time keeps 98 % of a matrix."""


class EvolveGCN(Convolution):
    """A GCN whose weight matrices are the states of recurrent networks that advance with the graph.

    Layer k computes ``relu(A H W_k(t))`` with ``W_k(t) = GRU(W_k(t - 1))``. The recurrent network is
    torch-geometric-temporal's. Gradients reach back one step in time; between two calls of
    :meth:`advance` the matrix of the step before is a constant.
    """

    architecture: ClassVar[str] = "evolvegcn"
    finish_reads_below: ClassVar[bool] = False

    past: Tensor
    steps: Tensor

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.cells = nn.ModuleList(evolvegcn_cell(width) for _ in range(self.num_layers))
        cell: Any
        for cell in self.cells:
            add_diagonal(cell.initial_weight[0], 1.0)
            with torch.no_grad():
                cell.recurrent_layer.bias_ih_l0[width : 2 * width] += KEEPING
        self.register_buffer("past", torch.zeros(self.num_layers, width, width))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.begun = False
        self._fixed: dict[int, Tensor] = {}

    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        return torch.relu(self.encoder(inputs, factor))

    @override
    def finish(self, number: int, mixed: Tensor, below: Tensor, index: Tensor) -> Tensor:
        return torch.relu(mixed @ self.matrix(number))

    @override
    def advance(self) -> None:
        with torch.no_grad():
            # New tensors: a training step under way needs the old ones for its gradients.
            self.past = torch.stack([self.matrix(number) for number in range(1, self.num_layers + 1)])
            self.steps = self.steps + 1
            self.begun = True
            self._fixed.clear()

    @override
    def train(self, mode: bool = True) -> EvolveGCN:
        self._fixed.clear()
        return super().train(mode)

    @override
    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._fixed.clear()
        self.begun = bool(self.steps)

    def matrix(self, number: int) -> Tensor:
        """``W_k(t)``, ``[width, width]``; a frozen student computes it once."""
        if number in self._fixed:
            return self._fixed[number]
        weight = self._evolved(number)
        if not (self.training or weight.requires_grad):
            self._fixed[number] = weight
        return weight

    def _evolved(self, number: int) -> Tensor:
        cell: Any = self.cells[number - 1]
        before = self.past[number - 1].unsqueeze(0) if self.begun else cell.initial_weight
        # A GPU's library for this would round to fewer digits, and copy the weights together at every call.
        with torch.backends.cudnn.flags(enabled=False):
            _, state = cell.recurrent_layer(before, before)
        weight: Tensor = state.squeeze(0)
        return weight
