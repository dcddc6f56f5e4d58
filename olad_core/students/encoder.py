"""The map from features and known labels of a node to the first row of a student."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from olad_core.messages.aggregate import aggregate
from olad_core.messages.inputs import Inputs
from olad_core.messages.sparse_features import SparseRows
from olad_core.students.initial_weights import LABEL_INPUT, add_diagonal

MOST_ENCODED = 1e6
"""Encoded features are clamped to this magnitude. Scaled features are usually near one."""


class Encoder(nn.Module):
    """A linear map of features, which may be sparse, and of known labels, with Glorot weights.

    Columns are scaled by scaling rows of the weight, which is smaller than the features are.

    Args:
        feature_width: F; 0 for a graph without features, whose nodes have their degree instead.
        width: of the result.
        class_capacity: labels from here on count as unknown.
        label_column: initially, class c is encoded in column ``label_column + c``.
    """

    def __init__(self, feature_width: int, width: int, class_capacity: int, label_column: int = 0) -> None:
        super().__init__()
        self.label_column = label_column
        self.weight = nn.Parameter(torch.empty(max(feature_width, 1), width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.labels = nn.Parameter(torch.empty(class_capacity, width))
        nn.init.xavier_uniform_(self.weight)
        nn.init.xavier_uniform_(self.labels)
        add_diagonal(self.labels, LABEL_INPUT, column=label_column)

    def forward(self, inputs: Inputs, factor: Tensor) -> Tensor:
        """``x diag(factor) W + b + E[label]``: ``[n, width]``.

        Args:
            inputs: of n nodes; ``E[-1]`` is zero.
            factor: ``[F]``, or a single number.
        """
        return encode(inputs, self.scaled(factor), self.bias, self.labels)

    def grow(self, class_capacity: int) -> tuple[nn.Parameter, nn.Parameter]:
        """Add labels up to this capacity; returns the replaced parameter with its new one."""
        old, before = self.labels, len(self.labels)
        self.labels = nn.Parameter(torch.cat([old.detach(), old.new_zeros(class_capacity - before, old.shape[1])]))
        add_diagonal(self.labels, LABEL_INPUT, row=before, column=self.label_column + before)
        return old, self.labels

    def scaled(self, factor: Tensor) -> Tensor:
        """``diag(factor) W``."""
        return self.weight * (factor.unsqueeze(1) if factor.ndim else factor)


def encode(inputs: Inputs, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """``x W + b + E[label]``: ``[n, width]``.

    Args:
        inputs: of n nodes; ``E[-1]`` is zero.
        weight: ``[F, width]``.
        bias: ``[width]``.
        labels: ``E``, ``[class_capacity, width]``; labels from there on count as unknown.
    """
    x = inputs.x
    if isinstance(x, SparseRows):
        encoded = aggregate(weight, x.entries.weight, x.entries) + bias
    else:
        encoded = torch.addmm(bias, x, weight)
    known = torch.nonzero((inputs.label >= 0) & (inputs.label < len(labels))).squeeze(1)
    encoded = encoded.index_add(0, known, nn.functional.embedding(inputs.label[known], labels))
    return _bounded(encoded)


def _bounded(encoded: Tensor) -> Tensor:
    """NaN becomes zero, other entries are clamped: huge features must not make the rows of neighbours NaN."""
    if not encoded.numel():
        return encoded
    least, most = encoded.detach().aminmax()
    # If any entry is NaN, so are both bounds, and comparisons with NaN are false. This test costs less than clamping,
    # whose gradient would be computed even where nothing is clamped.
    if least >= -MOST_ENCODED and most <= MOST_ENCODED:
        return encoded
    return encoded.nan_to_num(0.0, MOST_ENCODED, -MOST_ENCODED).clamp(-MOST_ENCODED, MOST_ENCODED)
