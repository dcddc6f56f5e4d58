"""Blocks of small dense graphs, and the dense formulas they are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from olad_core.messages.sparse_features import Features
from olad_core.students import Inputs
from olad_core.students.check.case import block_of, embed, random_adjacency

__all__ = ["block_of", "embed", "inputs_of", "random_adjacency", "row_mean", "symmetric", "with_lonely_targets"]


def with_lonely_targets(nodes: int) -> Tensor:
    """A random adjacency in which a node, and the last, have no neighbours."""
    weights = random_adjacency(nodes, seed=3)
    weights[2] = 0
    weights[nodes - 1] = 0
    return weights


def inputs_of(x: Features, label: Sequence[int] | None = None) -> Inputs:
    """Inputs of nodes whose labels are not known, unless they are given."""
    return Inputs(x, torch.full((x.shape[0],), -1) if label is None else torch.tensor(label))


def symmetric(adjacency: Tensor) -> Tensor:
    """``D^-1/2 (A + I) D^-1/2``, where D counts the incoming weight and the self-loop."""
    looped = adjacency + torch.eye(len(adjacency))
    scale = looped.sum(dim=1).rsqrt()
    return scale[:, None] * looped * scale[None, :]


def row_mean(adjacency: Tensor) -> Tensor:
    """Each row divided by its sum; rows of zeros stay."""
    return adjacency / adjacency.sum(dim=1, keepdim=True).clamp_min(1e-12)
