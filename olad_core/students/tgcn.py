"""T-GCN (Zhao et al., "T-GCN: A Temporal Graph Convolutional Network for Traffic Prediction")."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs
from olad_core.students.gcn import Convolution
from olad_core.students.initial_weights import add_diagonal
from olad_core.students.temporal import tgcn_cell


class TGCN(Convolution):
    """A GCN whose first layer is a gated recurrent unit over a hidden state of each node.

    With ``p = A X W`` and a node's hidden state ``m`` (eq. 2 to 5; the cell's weights are torch-geometric-temporal's)::

        z = sigmoid(W_z [p | m])    r = sigmoid(W_r [p | m])    c = tanh(W_h [p | r m])    h = z m + (1 - z) c

    The second layer is ``A h``. Layer 0 is ``[X W | m]``. Hidden states advance with the events: after every so many,
    the nodes touched lately take their ``h``. Gradients do not reach back in time.
    """

    architecture: ClassVar[str] = "tgcn"
    ends_linearly: ClassVar[bool] = True
    remembers: ClassVar[bool] = True

    cell: Any

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.cell = tgcn_cell(width)
        add_diagonal(self.cell.conv_h.lin.weight, 1.0)
        add_diagonal(self.cell.linear_h.weight, 1.0)

    @property
    @override
    def layer_widths(self) -> tuple[int, ...]:
        return 2 * self.width, self.width, self.width

    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        encoded = torch.relu(self.encoder(inputs, factor))
        memory = torch.zeros_like(encoded) if inputs.memory is None else inputs.memory
        return torch.cat([encoded, memory], dim=1)

    @override
    def finish(self, number: int, mixed: Tensor, below: Tensor, index: Tensor) -> Tensor:
        return self._recur(mixed, below[index, self.width :]) if number == 1 else mixed

    @override
    def remember(self, inputs: Inputs, block: Block) -> Tensor:
        return self.layer(1, self.encode(inputs, self.scale), block)

    def _recur(self, rows: Tensor, memory: Tensor) -> Tensor:
        cell = self.cell
        update = torch.sigmoid(_gate(cell.conv_z, cell.linear_z, rows, memory))
        reset = torch.sigmoid(_gate(cell.conv_r, cell.linear_r, rows, memory))
        state = torch.tanh(_gate(cell.conv_h, cell.linear_h, rows, memory * reset))
        return update * memory + (1 - update) * state


def _gate(convolution: nn.Module, linear: nn.Module, rows: Tensor, memory: Tensor) -> Tensor:
    """What a gate of the cell computes of rows that are propagated already."""
    gate: Tensor = linear(torch.cat([convolution.lin(rows) + convolution.bias, memory], dim=1))  # type: ignore[operator]
    return gate
