"""The cycle of discriminators behind the local knowledge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from olad_core.students.aggregate import aggregate
from olad_core.students.block import Block


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

    def forward(self, embeddings: Tensor, graph: Block) -> Tensor:
        """Scores ``[G, n]`` of embeddings ``[G, n, width]``.

        Args:
            embeddings: the ones discriminator ``i`` is asked about, at place ``i``.
            graph: the edges among the n nodes, the weights of a node's neighbours summing to one.
        """
        unit = nn.functional.normalize(embeddings, dim=2)
        group, nodes, width = unit.shape
        flat = unit.transpose(0, 1).reshape(nodes, group * width)
        mean = aggregate(flat, graph.weight, graph).view(nodes, group, width).transpose(0, 1)
        hidden = torch.relu(torch.bmm(unit, self.own) + torch.bmm(mean, self.neighbour) + self.bias)
        return torch.bmm(hidden, self.score).squeeze(2) + self.prior
