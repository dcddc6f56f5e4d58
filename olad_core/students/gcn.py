"""Graph convolutional network (Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional Networks")."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from olad_core.students.inputs import Encoder, Inputs
from olad_core.students.linear import LinearStudent


class Convolution(LinearStudent):
    """Propagation with ``D^-1/2 (A + I) D^-1/2`` (eq. 2): a message is the sender's row over the root of its degree."""

    uses_degree: ClassVar[bool] = True

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.encoder = Encoder(feature_width, width, class_capacity)

    @property
    @override
    def layer_widths(self) -> tuple[int, ...]:
        return (self.width,) * 3

    @property
    @override
    def message_widths(self) -> tuple[int, ...]:
        return self.layer_widths[:-1]

    @override
    def message(self, number: int, rows: Tensor, in_weight: Tensor) -> Tensor:
        return rows * (in_weight + 1).rsqrt().unsqueeze(1)

    def propagated(self, own: Tensor, total: Tensor, in_weight: Tensor) -> Tensor:
        """Rows of ``D^-1/2 (A + I) D^-1/2 H``."""
        degree = (in_weight + 1).unsqueeze(1)
        return total * degree.rsqrt() + own / degree


class GCN(Convolution):
    """Two propagation steps: ``Z = A relu(A X W1) W2``, with ``A`` the normalised adjacency."""

    architecture: ClassVar[str] = "gcn"

    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        encoded: Tensor = self.encoder(inputs, factor)
        return encoded

    @override
    def combine(self, number: int, own: Tensor, total: Tensor, in_weight: Tensor) -> Tensor:
        rows = self.propagated(own, total, in_weight)
        return torch.relu(rows) if number == 1 else rows
