"""Graph attention network (Velickovic et al., "Graph Attention Networks")."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from olad_core.device import has_loops
from olad_core.messages.aggregate import aggregate, segment_softmax
from olad_core.messages.attention import attend
from olad_core.messages.block import Block
from olad_core.messages.edge_attention import attend_to_edges
from olad_core.messages.inputs import Inputs
from olad_core.students.edge_maps import EdgeMaps
from olad_core.students.encoder import Encoder
from olad_core.students.initial_weights import add_diagonal
from olad_core.students.relation_maps import RelationMaps
from olad_core.students.student import Student, linear

SLOPE = 0.2
"""Of the leaky ReLU, below zero."""


class Attention(nn.Module):
    """Attention coefficients over the neighbours and the node itself, for ``heads`` heads (eq. 3).

    Edge weights enter as factors of the exponentials, so that an edge of weight 2 counts like two edges.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.source = nn.Parameter(torch.empty(heads, width // heads))
        self.target = nn.Parameter(torch.empty(heads, width // heads))
        nn.init.xavier_uniform_(self.source)
        nn.init.xavier_uniform_(self.target)

    def prepare(self, rows: Tensor) -> Tensor:
        """Transformed rows ``[S, width]`` and what they add to scores as senders and as receivers.

        Returns:
            ``[S, width + 2 heads]``.
        """
        by_head = rows.view(len(rows), self.heads, rows.shape[1] // self.heads)
        return torch.cat([rows, (by_head * self.source).sum(dim=2), (by_head * self.target).sum(dim=2)], dim=1)

    def forward(self, prepared: Tensor, block: Block) -> Tensor:
        """Attention-weighted means of prepared rows: ``[N, width]``."""
        if has_loops(prepared):
            return attend(prepared, self.heads, block, SLOPE)
        return self.by_operations(prepared, block)

    def by_operations(self, prepared: Tensor, block: Block) -> Tensor:
        """The same as operations on tensors, for a GPU."""
        width = prepared.shape[1] - 2 * self.heads
        sent, wanted = prepared[:, width : width + self.heads], prepared[:, width + self.heads :]
        by_head = prepared[:, :width].reshape(len(prepared), self.heads, width // self.heads)
        own, wanted = block.own(by_head), block.own(wanted)
        score = F.leaky_relu(sent[block.sources] + wanted[block.target_of_edge], SLOPE)
        score = score + block.weight.log().unsqueeze(1)
        own_score = F.leaky_relu(block.own(sent) + wanted, SLOPE)
        # The self-loop is not an edge of the block: its share is split off with a sigmoid, which is the same softmax.
        total = _segment_logsumexp(score, block)
        share = torch.sigmoid(own_score - total)
        weight = segment_softmax(score, block) * (1 - share)[block.target_of_edge]
        heads = [
            aggregate(by_head[:, head].contiguous(), weight[:, head].contiguous(), block) for head in range(self.heads)
        ]
        return torch.cat(heads, dim=1) + (own * share.unsqueeze(2)).flatten(1)


def _segment_logsumexp(score: Tensor, block: Block) -> Tensor:
    """``[N, H]``; targets without edges get a value so low that its share is zero."""
    lowest = -1e9
    target = block.target_of_edge.unsqueeze(1).expand_as(score)
    highest = score.new_full((block.num_targets, score.shape[1]), lowest)
    highest = highest.scatter_reduce(0, target, score.detach(), "amax")
    total = torch.zeros_like(highest).scatter_add(0, target, (score - highest.gather(0, target)).exp())
    return highest + total.clamp_min(1e-30).log()


class GAT(Student):
    """Two attention layers. The rows of layers 0 and 1 are already transformed and scored for the layer above."""

    architecture: ClassVar[str] = "gat"
    uses_degree: ClassVar[bool] = False
    heads: ClassVar[int] = 4

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        if width % self.heads:
            raise ValueError(f"width {width} is not a multiple of GAT's {self.heads} heads")
        self.encoder = Encoder(feature_width, width, class_capacity)
        self.first = Attention(width, self.heads)
        self.between = linear(width, width)
        add_diagonal(self.between.weight, 1.0)
        self.second = Attention(width, 1)

    @property
    @override
    def layer_widths(self) -> tuple[int, ...]:
        return self.width + 2 * self.first.heads, self.width + 2 * self.second.heads, self.width

    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        rows: Tensor = self.first.prepare(self.encoder(inputs, factor))
        return rows

    @override
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        attended = self._attend(number, source, block)
        if self.relation_maps:
            attended = self.relation_maps[number - 1](attended, block.num_targets)
        return self.finish(number, attended)

    def _attend(self, number: int, source: Tensor, block: Block) -> Tensor:
        """Attention-weighted means over the layer below, for each target and type that the student knows apart."""
        by_type = block.of_types if self.relation_maps else block
        if not self.edge_maps or block.x is None:
            means: Tensor = self._attention(number)(source, by_type)
            return means
        maps, heads = cast("EdgeMaps", self.edge_maps[number - 1]), self.heads_of(number)
        relation = block.of_types.target_of_edge % max(1, block.of_types.num_targets // max(block.num_targets, 1))
        terms = maps.of_edges(block.x, relation, self.width)
        found = attend_to_edges(source, heads, by_type, SLOPE, terms)
        return found.rows + maps.of_heads(found.x, block.num_targets, self.width)

    @override
    def relate(self, relations: int) -> None:
        """Attend to the neighbours along edges of each type by themselves, and to the node itself with each."""
        super().relate(relations)
        self.relation_maps.extend(
            RelationMaps(self.width, relations, start=1 / relations) for _ in range(self.num_layers)
        )

    @override
    def read_edges(self, width: int) -> None:
        """A map of the features of an edge gives its terms of the row that is sent along it, and of the scores."""
        super().read_edges(width)
        heads = (self.heads_of(number) for number in range(1, self.num_layers + 1))
        self.edge_maps.extend(EdgeMaps(width, self.width + each, self.relations) for each in heads)

    def finish(self, number: int, attended: Tensor) -> Tensor:
        """Rows of layer ``number`` from attention-weighted means ``[n, width]`` over the layer below."""
        rows = F.elu(attended)
        return self.second.prepare(self.between(rows)) if number == 1 else rows

    def heads_of(self, number: int) -> int:
        """Heads of the attention of layer ``number``."""
        return self._attention(number).heads

    def _attention(self, number: int) -> Attention:
        return self.first if number == 1 else self.second
