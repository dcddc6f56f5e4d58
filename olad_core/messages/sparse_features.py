"""Feature vectors that are mostly zero, as they go into a student."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from olad_core.messages.block import Block


@dataclass(frozen=True)
class SparseRows:
    """The non-zero entries of ``[N, F]`` features.

    Attributes:
        width: F.
        entries: the entries as edges from columns to rows, the values being their weights.
    """

    width: int
    entries: Block

    @property
    def shape(self) -> tuple[int, int]:
        """``(N, F)``."""
        return self.entries.num_targets, self.width

    def mean_squares(self) -> Tensor:
        """Mean of the squares of each row's entries, the zeros included: ``[N]``."""
        total = self.entries.weight.new_zeros(self.entries.num_targets)
        return total.index_add(0, self.entries.target_of_edge, self.entries.weight.square()) / self.width

    def mean_squares_of(self, first: int, width: int) -> Tensor:
        """Mean squares of the features of a type, of the rows that column ``first`` shows; they come after it."""
        column, row = self.entries.sources, self.entries.target_of_edge
        own = (column > first) & (column <= first + width)
        total = self.entries.weight.new_zeros(self.entries.num_targets)
        total = total.index_add(0, row[own], self.entries.weight[own].square())
        return total[row[column == first]] / max(width, 1)


Features = Tensor | SparseRows
"""Features ``[N, F]``; a graph without features has one column of zeros."""


def mean_squares(x: Features) -> Tensor:
    """Mean of the squares of each row's entries: ``[N]``."""
    return x.mean_squares() if isinstance(x, SparseRows) else x.square().mean(dim=1)
