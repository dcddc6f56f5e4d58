"""A graph convolutional network as its authors train it.

Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017: two layers, the whole
graph in each step, dropout 0.5, rows of features normalised, Adam at 0.01. Weights of edges are not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from olad_core.graph import DynamicGraph

EPOCHS = 200
DROPOUT, LEARNING_RATE, WEIGHT_DECAY = 0.5, 0.01, 5e-4


@dataclass(frozen=True)
class Snapshot:
    """The graph of a moment.

    Attributes:
        rows: of its nodes in the live graph ``[N]``.
        x: features ``[N, F]``, rows summing to one; the logarithm of the degree where the graph has none.
        adjacency: sparse ``[N, N]``, with self-loops, normalised symmetrically.
        label: classes ``[N]``; -1 where none is known.
    """

    rows: npt.NDArray[np.int64]
    x: Tensor
    adjacency: Tensor
    label: Tensor

    @classmethod
    def of(cls, graph: DynamicGraph) -> Snapshot:
        """The live graph as it is."""
        rows = np.flatnonzero(graph.alive)
        near = graph.in_neighbours(rows)
        target = np.repeat(np.arange(len(rows)), np.diff(near.indptr))
        source = np.searchsorted(rows, near.index)
        loops = np.arange(len(rows))
        ends = torch.from_numpy(np.stack([np.concatenate([target, loops]), np.concatenate([source, loops])]))
        degree = torch.bincount(ends[0], minlength=len(rows)).float()
        weight = (degree[ends[0]] * degree[ends[1]]).rsqrt()
        adjacency = torch.sparse_coo_tensor(ends, weight, (len(rows),) * 2, check_invariants=True).coalesce()
        if graph.num_features:
            x = torch.from_numpy(graph.features.dense(rows).astype(np.float32))
            x = x / x.abs().sum(dim=1, keepdim=True).clamp_min(1e-12)
        else:
            x = degree.log()[:, None]
        return cls(rows, x, adjacency, torch.from_numpy(graph.label[rows].astype(np.int64)))


class PlainGCN(nn.Module):
    """Two layers.

    Args:
        features: of a node.
        width: of the hidden layer.
        classes: known.
        seed: of weights and dropout.
    """

    def __init__(self, features: int, width: int, classes: int, seed: int) -> None:
        super().__init__()
        self.classes = classes
        self._dropout = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.Linear(features, width, bias=False)
            self.second = nn.Linear(width, classes, bias=False)
            nn.init.xavier_uniform_(self.first.weight)
            nn.init.xavier_uniform_(self.second.weight)
        self.biases = nn.ParameterList([torch.zeros(width), torch.zeros(classes)])
        parts: list[dict[str, Any]] = [
            {"params": [self.first.weight, self.biases[0]], "weight_decay": WEIGHT_DECAY},
            {"params": [self.second.weight, self.biases[1]]},
        ]
        self._optimizer = torch.optim.Adam(parts, LEARNING_RATE)

    def forward(self, graph: Snapshot) -> Tensor:
        """Logits ``[N, classes]``."""
        hidden = graph.adjacency @ self.first(self._dropped(graph.x)) + self.biases[0]
        logits: Tensor = graph.adjacency @ self.second(self._dropped(hidden.relu())) + self.biases[1]
        return logits

    def train_epochs(self, graph: Snapshot, epochs: int) -> None:
        """So many steps on all labelled nodes of the graph."""
        known = torch.nonzero((graph.label >= 0) & (graph.label < self.classes)).squeeze(1)
        self.train()
        for _ in range(epochs if len(known) else 0):
            self._optimizer.zero_grad()
            loss = functional.cross_entropy(self(graph)[known], graph.label[known])
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        self.eval()

    @torch.no_grad()
    def probabilities(self, graph: Snapshot) -> npt.NDArray[np.float64]:
        """Of every node ``[N, classes]``."""
        shares: npt.NDArray[np.float64] = self(graph).softmax(dim=1).double().numpy()
        return shares

    def _dropped(self, rows: Tensor) -> Tensor:
        if not self.training:
            return rows
        kept = torch.rand(rows.shape, generator=self._dropout) >= DROPOUT
        return rows * kept / (1 - DROPOUT)
