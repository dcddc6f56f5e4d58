"""Blocks of small dense graphs, and the dense formulas they are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from olad_core.messages.sparse_features import Features
from olad_core.students import Block, Inputs, Student


def random_adjacency(nodes: int, seed: int, share: float = 0.4) -> Tensor:
    """``A[i, j]``, the weight of the edge from j to i, zero where there is none; no self-loops."""
    random = torch.Generator().manual_seed(seed)
    weight = 0.5 + torch.rand(nodes, nodes, generator=random)
    there = torch.rand(nodes, nodes, generator=random) < share
    return (weight * there).fill_diagonal_(0)


def with_lonely_targets(nodes: int) -> Tensor:
    """A random adjacency in which a node, and the last, have no neighbours."""
    weights = random_adjacency(nodes, seed=3)
    weights[2] = 0
    weights[nodes - 1] = 0
    return weights


def block_of(adjacency: Tensor, targets: Sequence[int] | None = None) -> Block:
    """The edges into ``targets`` (all nodes), every node being a source."""
    rows = torch.arange(len(adjacency)) if targets is None else torch.tensor(targets, dtype=torch.int64)
    target, source = adjacency[rows].nonzero(as_tuple=True)
    counts = torch.bincount(target, minlength=len(rows))
    return Block(
        targets=rows,
        sources=source,
        offsets=torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)]),
        weight=adjacency[rows][target, source],
        in_weight=adjacency.sum(dim=1),
    )


def told(x: Features, label: Sequence[int] | None = None) -> Inputs:
    """Inputs of nodes whose labels are not known, unless they are given."""
    return Inputs(x, torch.full((x.shape[0],), -1) if label is None else torch.tensor(label))


def embed(student: Student, inputs: Inputs, block: Block) -> tuple[Tensor, Tensor]:
    """Logits and embeddings on the whole graph, no gradients."""
    with torch.no_grad():
        logits, embedding = student(inputs, [block] * student.num_layers)
    return logits, embedding


def symmetric(adjacency: Tensor) -> Tensor:
    """``D^-1/2 (A + I) D^-1/2``, where D counts the incoming weight and the self-loop."""
    looped = adjacency + torch.eye(len(adjacency))
    scale = looped.sum(dim=1).rsqrt()
    return scale[:, None] * looped * scale[None, :]


def row_mean(adjacency: Tensor) -> Tensor:
    """Each row divided by its sum; rows of zeros stay."""
    return adjacency / adjacency.sum(dim=1, keepdim=True).clamp_min(1e-12)
