"""Graph attention network (Velickovic et al., "Graph Attention Networks")."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from olad_core.messages.aggregate import aggregate, segment_softmax
from olad_core.messages.attention import attend
from olad_core.messages.block import Block
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

    def forward(self, prepared: Tensor, block: Block, terms: Tensor | None = None) -> Tensor:
        """Attention-weighted means of prepared rows: ``[N, width]``.

        Args:
            prepared: ``[S, width + 2 heads]``.
            block: edges from S sources to N targets.
            terms: ``[E, width + heads]``: what an edge adds to the row that its sender sends, and to the scores.
        """
        if terms is not None:
            return _attend_with_terms(prepared, self.heads, block, terms)
        if prepared.device.type == "cpu":
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


def _attend_with_terms(prepared: Tensor, heads: int, block: Block, terms: Tensor) -> Tensor:
    """Attention where edges have terms of their own in rows and scores."""
    width = prepared.shape[1] - 2 * heads
    sent, own, target = prepared[block.sources], block.own(prepared), block.target_of_edge
    wanted = own[:, width + heads :]
    score = F.leaky_relu(sent[:, width : width + heads] + wanted[target] + terms[:, width:], SLOPE)
    own_score = F.leaky_relu(own[:, width : width + heads] + wanted, SLOPE)
    by_head = target.unsqueeze(1).expand_as(score)
    peak = own_score.detach().scatter_reduce(0, by_head, score.detach(), "amax")
    part = (score - peak[target]).exp() * block.weight.unsqueeze(1)
    own_part = (own_score - peak).exp()
    total = own_part.scatter_add(0, by_head, part)
    rows = (sent[:, :width] + terms[:, :width]).view(len(sent), heads, width // heads) * (
        part / total[target]
    ).unsqueeze(2)
    mean = own[:, :width].view(len(own), heads, width // heads) * (own_part / total).unsqueeze(2)
    return mean.index_add(0, target, rows).flatten(1)


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
        terms = self._terms(number, block)
        if not self.relation_maps:
            return self.finish(number, self._attention(number)(source, block, terms))
        attended = self._attention(number)(source, block.of_types, terms)
        return self.finish(number, self.relation_maps[number - 1](attended, block.num_targets))

    @override
    def relate(self, relations: int) -> None:
        """Attend to the neighbours along edges of each type by themselves, and to the node itself with each."""
        super().relate(relations)
        self.relation_maps.extend(
            RelationMaps(self.width, relations, start=1 / relations) for _ in range(self.num_layers)
        )

    @override
    def read_edges(self, width: int) -> None:
        """A map of the features of an edge gives its terms of the row that is sent along it and of the scores."""
        super().read_edges(width)
        heads = (self.heads_of(number) for number in range(1, self.num_layers + 1))
        self.edge_maps.extend(EdgeMaps(width, self.width + each, self.relations) for each in heads)

    def _terms(self, number: int, block: Block) -> Tensor | None:
        if not self.edge_maps or block.x is None:
            return None
        targets = block.of_types
        relation = targets.target_of_edge % max(1, targets.num_targets // max(block.num_targets, 1))
        return cast("EdgeMaps", self.edge_maps[number - 1]).of_edges(block.x, relation)

    def finish(self, number: int, attended: Tensor) -> Tensor:
        """Rows of layer ``number`` from attention-weighted means ``[n, width]`` over the layer below."""
        rows = F.elu(attended)
        return self.second.prepare(self.between(rows)) if number == 1 else rows

    def heads_of(self, number: int) -> int:
        """Heads of the attention of layer ``number``."""
        return self._attention(number).heads

    def _attention(self, number: int) -> Attention:
        return self.first if number == 1 else self.second
