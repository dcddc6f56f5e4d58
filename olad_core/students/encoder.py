"""The map from features, known labels and structure of a node to the first row of a student."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from olad_core.config import STRUCTURE, STRUCTURE_STEPS
from olad_core.device import has_loops
from olad_core.messages.aggregate import aggregate
from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs
from olad_core.messages.sparse_features import SparseRows
from olad_core.students.initial_weights import LABEL_INPUT, add_diagonal

MOST_ENCODED = 1e6
"""Encoded features are clamped to this magnitude. Scaled features are usually near one."""


class Encoder(nn.Module):
    """A linear map of features, which may be sparse, and of known labels, with Glorot weights.

    Columns are scaled by scaling rows of the weight, which is smaller than the features are. Each step of each column
    of the structure that is read (:meth:`read_structure`) adds a learned row, which is zero at first.

    Args:
        feature_width: F; 0 for a graph without features, whose nodes have their degree instead.
        width: of the result.
        class_capacity: labels from here on count as unknown.
        label_column: initially, class c is encoded in column ``label_column + c``.
    """

    reads: Tensor

    def __init__(self, feature_width: int, width: int, class_capacity: int, label_column: int = 0) -> None:
        super().__init__()
        self.label_column = label_column
        self.weight = nn.Parameter(torch.empty(max(feature_width, 1), width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.labels = nn.Parameter(torch.empty(class_capacity, width))
        self.structure = nn.Parameter(torch.zeros(len(STRUCTURE) * STRUCTURE_STEPS, width))
        self.register_buffer("reads", torch.zeros(len(STRUCTURE), dtype=torch.bool))
        self.columns: tuple[int, ...] = ()
        nn.init.xavier_uniform_(self.weight)
        nn.init.xavier_uniform_(self.labels)
        add_diagonal(self.labels, LABEL_INPUT, column=label_column)

    def forward(self, inputs: Inputs, factor: Tensor) -> Tensor:
        """``x diag(factor) W + b + E[label] + sum_k S[step_k]``: ``[n, width]``.

        Args:
            inputs: of n nodes; ``E[-1]`` is zero.
            factor: ``[F]``, or a single number.
        """
        return encode(inputs, self.scaled(factor), self.bias, self.labels, self.structure, self.columns)

    def read_structure(self, names: Collection[str]) -> None:
        """Read these of :data:`~olad_core.config.STRUCTURE`, and no others; what was learned of each stays."""
        for column, name in enumerate(STRUCTURE):
            self.reads[column] = name in names
        self._follow_reads()

    @property
    def columns_read(self) -> int:
        """The columns of the structure that are read, bit ``k`` standing for column ``k``."""
        return sum(1 << column for column in self.columns)

    def grow(self, class_capacity: int) -> tuple[nn.Parameter, nn.Parameter]:
        """Add labels up to this capacity; returns the replaced parameter with its new one."""
        old, before = self.labels, len(self.labels)
        self.labels = nn.Parameter(torch.cat([old.detach(), old.new_zeros(class_capacity - before, old.shape[1])]))
        add_diagonal(self.labels, LABEL_INPUT, row=before, column=self.label_column + before)
        return old, self.labels

    def _follow_reads(self) -> None:
        self.columns = tuple(self.reads.nonzero().flatten().tolist())

    @override
    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._follow_reads()

    def scaled(self, factor: Tensor) -> Tensor:
        """``diag(factor) W``."""
        return self.weight * (factor.unsqueeze(1) if factor.ndim else factor)


def encode(
    inputs: Inputs,
    weight: Tensor,
    bias: Tensor,
    labels: Tensor,
    structure: Tensor | None = None,
    columns: tuple[int, ...] = (),
) -> Tensor:
    """``x W + b + E[label] + sum_k S[step_k]``: ``[n, width]``.

    Args:
        inputs: of n nodes; ``E[-1]`` is zero.
        weight: ``[F, width]``.
        bias: ``[width]``.
        labels: ``E``, ``[class_capacity, width]``; labels from there on count as unknown.
        structure: ``S``, ``[6 * 48, width]``, the steps of one column after the other.
        columns: of the structure that are read.
    """
    x = inputs.x
    if isinstance(x, SparseRows):
        encoded = aggregate(weight, x.entries.weight, x.entries) + bias
    else:
        encoded = torch.addmm(bias, x, weight)
    encoded = _add_labels(encoded, inputs.label, labels)
    if columns and structure is not None and inputs.structure is not None:
        block = inputs.structure.block(columns)
        encoded = encoded + aggregate(structure, block.weight, block)
    return _bounded(encoded)


def _add_labels(encoded: Tensor, label: Tensor, labels: Tensor) -> Tensor:
    """Add the row of each known label."""
    known = (label >= 0) & (label < len(labels))
    if has_loops(label):
        rows = torch.nonzero(known).squeeze(1)
        return encoded.index_add(0, rows, nn.functional.embedding(label[rows], labels))
    rows = torch.arange(len(label) + 1, device=label.device)
    weight = known.to(labels.dtype)
    block = Block(rows[:-1], label.masked_fill(~known, 0), rows, weight, in_weight=labels.new_zeros(len(labels)))
    return encoded + aggregate(labels, weight, block)


def _bounded(encoded: Tensor) -> Tensor:
    """NaN becomes zero, other entries are clamped: huge features must not make the rows of neighbours NaN."""
    if not encoded.numel():
        return encoded
    if has_loops(encoded):
        least, most = encoded.detach().aminmax()
        # If any entry is NaN, so are both bounds, and comparisons with NaN are false. This test costs less than
        # clamping, whose gradient would be computed even where nothing is clamped.
        if least >= -MOST_ENCODED and most <= MOST_ENCODED:
            return encoded
    return encoded.nan_to_num(0.0, MOST_ENCODED, -MOST_ENCODED).clamp(-MOST_ENCODED, MOST_ENCODED)
