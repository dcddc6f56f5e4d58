"""The head of a student: its columns, its initial weights, and how it grows with the classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

DISAGREEMENT = 0
"""Column of the disagreement, in outputs and in answers."""
CLASSES = slice(1, None)
"""Columns of the classes, in outputs and in answers."""
CHUNK = 1024
"""Class logits that a head grows by; a head of fewer doubles."""
LABEL_LOGIT = 1.0
"""Initial logit of a class for each unit in its column of the embedding."""


def head_width(classes: int) -> int:
    """Outputs of a head for so many classes.

    >>> head_width(3)
    4
    """
    return 1 + classes


def class_capacity(classes: int) -> int:
    """Class logits of a head for so many classes: more than there are, so that heads seldom grow.

    >>> [class_capacity(classes) for classes in (2, 8, 9, 100, 5_000)]
    [8, 8, 16, 128, 5120]
    """
    if classes > CHUNK:
        return -(-classes // CHUNK) * CHUNK
    return max(8, 1 << (classes - 1).bit_length())


def new_head(width: int, capacity: int) -> nn.Linear:
    """A linear map from embeddings to outputs, in which each class initially reads a column of its own.

    Args:
        width: of the embeddings.
        capacity: number of class logits.
    """
    head = nn.Linear(width, head_width(capacity))
    _read_columns(head, first=0)
    return head


def grow_head(head: nn.Linear, capacity: int) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """Add class logits up to this capacity; learned weights stay.

    Returns:
        Each replaced parameter with its new one.
    """
    before = head.out_features
    head.out_features = head_width(capacity)
    replaced = []
    for name in ("weight", "bias"):
        old = getattr(head, name)
        new = nn.Parameter(torch.cat([old.detach(), old.new_zeros(head.out_features - before, *old.shape[1:])]))
        setattr(head, name, new)
        replaced.append((old, new))
    _read_columns(head, first=before - head_width(0))
    return replaced


def logits_side_by_side(heads: Sequence[nn.Linear], embeddings: Tensor) -> Tensor:
    """Class logits ``[G, n, capacity]`` of G heads, each of its own embeddings ``[G, n, width]``."""
    weight = torch.stack([head.weight[CLASSES] for head in heads])
    bias = torch.stack([head.bias[CLASSES] for head in heads])
    return torch.baddbmm(bias.unsqueeze(2), weight, embeddings.mT).mT


def _read_columns(head: nn.Linear, first: int) -> None:
    """Let each class from the first one on read its column."""
    with torch.no_grad():
        head.weight[CLASSES][first:, first:].diagonal().add_(LABEL_LOGIT)
