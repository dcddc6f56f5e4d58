"""The cycle of discriminators behind the local knowledge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from olad_core.messages.aggregate import aggregate
from olad_core.messages.block import Block

LEAST_SQUARE = 1e-24
"""Embeddings whose square is below this become shorter than one; a zero stays one."""


class Discriminators(nn.Module):
    """G small graph neural networks, computed as one stacked operation.

    Discriminator ``i`` scores each node of (graph, embedding): it learns to classify the embeddings of student ``i``
    as real and those of student ``i - 1`` as fake. Scores are logits: nothing is cut off before the sigmoid, so the
    probability of "fake" can be close to one. Embeddings are brought to unit length first, so that students cannot
    be distinguished by scale alone.

    Args:
        group: number of students G.
        width: width of their embeddings.
        hidden: width of the hidden layer.
    """

    def __init__(self, group: int, width: int, hidden: int) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.empty(group, width, hidden))
        self.neighbour = nn.Parameter(torch.empty(group, width, hidden))
        self.bias = nn.Parameter(torch.zeros(group, 1, hidden))
        self.score = nn.Parameter(torch.empty(group, hidden, 1))
        self.prior = nn.Parameter(torch.zeros(group, 1))
        for parameter in (self.own, self.neighbour, self.score):
            for matrix in parameter:
                nn.init.xavier_uniform_(matrix)

    def forward(self, seen: Tensor, next_in_cycle: bool) -> Tensor:
        """Scores ``[G, n]`` of the inputs that :func:`seen` makes, ``[G, n, 2 width]``.

        Args:
            seen: of student ``i`` at place ``i``.
            next_in_cycle: whether discriminator ``i + 1`` scores it instead of discriminator ``i``.
        """
        own = [torch.cat([self.own, self.neighbour], dim=1), self.bias, self.score, self.prior]
        maps, bias, score, prior = (weights.roll(-1, dims=0) for weights in own) if next_in_cycle else own
        hidden = torch.relu_(torch.baddbmm(bias, seen, maps))
        return (hidden * score.mT).sum(dim=2) + prior


def seen(embeddings: Tensor, graph: Block) -> Tensor:
    """Inputs of the discriminators: each node's unit embedding and the mean of its neighbours', ``[G, n, 2 width]``.

    Args:
        embeddings: ``[G, s, width]``, of the sources of the graph.
        graph: the edges to its n targets, the first of its sources; the weights of a node's neighbours sum to one.
    """
    rows = embeddings.transpose(0, 1)
    # The gradient of torch's own normalize takes twice as long.
    unit = rows * (rows.square().sum(dim=2, keepdim=True) + LEAST_SQUARE).rsqrt()
    own = graph.own(unit)
    mean = aggregate(unit.flatten(1), graph.weight, graph).view_as(own)
    return torch.cat([own, mean], dim=2).transpose(0, 1)
