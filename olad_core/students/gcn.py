"""Graph convolutional network (Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional Networks")."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from olad_core.students.encoder import Encoder
from olad_core.students.linear import Factors, LinearStudent


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

    @override
    def factors(self, in_weight: Tensor) -> Factors:
        degree = in_weight + 1
        root = degree.rsqrt()
        return Factors(own=degree.reciprocal(), total=root, sent=root)


class GCN(Convolution):
    """Two propagation steps: ``Z = A relu(A X W1) W2``, with ``A`` the normalised adjacency."""

    architecture: ClassVar[str] = "gcn"
    ends_linearly: ClassVar[bool] = True
    finish_reads_below: ClassVar[bool] = False
    columnwise: ClassVar[bool] = True

    @override
    def finish(self, number: int, mixed: Tensor, below: Tensor, index: Tensor) -> Tensor:
        return torch.relu_(mixed) if number == 1 else mixed
