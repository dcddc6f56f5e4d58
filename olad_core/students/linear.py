"""Students whose nodes receive weighted sums: what one sends depends on the sender alone."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor
from typing_extensions import override

from olad_core.students.aggregate import aggregate
from olad_core.students.block import Block
from olad_core.students.student import Student


class LinearStudent(Student):
    """A student with ``layer_k(i) = combine(own row, sum over in-neighbours j of w_ij message(j))``.

    The sum is linear in the messages, so when a node changes it is enough to send the *difference* of its
    messages along its edges: no other neighbour of the receiver needs to be read again.
    """

    @property
    @abstractmethod
    def message_widths(self) -> tuple[int, ...]:
        """Widths of the messages into layer 1 to layer ``num_layers``."""

    @abstractmethod
    def message(self, number: int, rows: Tensor, in_weight: Tensor) -> Tensor:
        """What nodes send into layer ``number``.

        Args:
            number: 1 to ``num_layers``.
            rows: ``[n, layer_widths[number - 1]]``, the nodes' rows of the layer below.
            in_weight: ``[n]``, sums of the weights of their incoming edges.

        Returns:
            ``[n, message_widths[number - 1]]``.
        """

    @abstractmethod
    def combine(self, number: int, own: Tensor, total: Tensor, in_weight: Tensor) -> Tensor:
        """Rows of layer ``number`` from the nodes' own rows below and the weighted sums of their messages."""

    @override
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        total = aggregate(self.message(number, source, block.in_weight), block.weight, block)
        return self.combine(number, source[block.targets], total, block.in_weight[block.targets])
