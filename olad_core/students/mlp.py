"""A perceptron on a node's own inputs: what can be known without the graph."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from olad_core.messages.block import Block
from olad_core.students.encoder import Encoder
from olad_core.students.initial_weights import add_diagonal
from olad_core.students.linear import Factors, LinearStudent
from olad_core.students.student import Student, linear


class MLP(LinearStudent):
    """``h_i = relu(W h_i)``, twice. Neighbours count for nothing, so that a useless or misleading graph costs nothing.

    Its inputs are those of all students: features, a known label, structure of the node itself.
    """

    architecture: ClassVar[str] = "mlp"
    uses_degree: ClassVar[bool] = False
    finish_reads_below: ClassVar[bool] = False

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.encoder = Encoder(feature_width, width, class_capacity)
        self.second = linear(width, width)
        add_diagonal(self.second.weight, 1.0)

    @override
    def relate(self, relations: int) -> None:
        Student.relate(self, relations)  # Without maps of the types: nothing would pass through them.

    @override
    def read_edges(self, width: int) -> None:
        Student.read_edges(self, width)  # Without maps of the features of edges, for the same reason.

    @property
    @override
    def layer_widths(self) -> tuple[int, ...]:
        return self.width, self.width, self.width

    @override
    def factors(self, in_weight: Tensor) -> Factors:
        nothing = torch.zeros_like(in_weight)
        return Factors(own=torch.ones_like(in_weight), total=nothing, sent=nothing)

    @override
    def prepare(self, number: int, rows: Tensor) -> Tensor:
        return rows if number == 1 else F.linear(rows, self.second.weight)

    @override
    def finish(self, number: int, mixed: Tensor, below: Tensor, index: Tensor) -> Tensor:
        return torch.relu(mixed if number == 1 else mixed + self.second.bias)

    @override
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        own = self.prepare(number, block.own(source))
        return self.finish(number, own, own, block.targets)
