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

    Discriminator ``i`` scores each node of (graph, embedding): it learns to say "real" to the embeddings of
    student ``i`` and "fake" to those of student ``i - 1``. Scores are logits: nothing is cut off before the
    sigmoid, so a discriminator can say "fake" with confidence. Embeddings are brought to unit length first,
    so that students cannot be told apart by scale alone.

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
        """Scores ``[G, n]`` of what is :func:`seen`, ``[G, n, 2 width]``.

        Args:
            seen: of student ``i`` at place ``i``.
            next_in_cycle: whether discriminator ``i + 1`` is asked about it instead of discriminator ``i``.
        """
        judges = [torch.cat([self.own, self.neighbour], dim=1), self.bias, self.score, self.prior]
        maps, bias, score, prior = (each.roll(-1, dims=0) for each in judges) if next_in_cycle else judges
        hidden = torch.relu_(torch.baddbmm(bias, seen, maps))
        return (hidden * score.mT).sum(dim=2) + prior


def seen(embeddings: Tensor, graph: Block) -> Tensor:
    """What discriminators know of each node: its unit embedding and the mean of its neighbours', ``[G, n, 2 width]``.

    Args:
        embeddings: ``[G, n, width]``.
        graph: the edges among the n nodes, the weights of a node's neighbours summing to one.
    """
    rows = embeddings.transpose(0, 1)
    # The gradient of torch's own normalize takes twice as long.
    unit = rows * (rows.square().sum(dim=2, keepdim=True) + LEAST_SQUARE).rsqrt()
    mean = aggregate(unit.flatten(1), graph.weight, graph).view_as(unit)
    return torch.cat([unit, mean], dim=2).transpose(0, 1)
