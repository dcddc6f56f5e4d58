"""The first layer of a frozen student in two parts: what follows from most neighbours, and what hubs add to it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from typing_extensions import override

from olad_core.graph import Neighbours
from olad_core.messages import attention
from olad_core.messages.block import Block
from olad_core.serving import loops
from olad_core.serving.operations import Mixture
from olad_core.serving.propagation import LinearPropagation, Propagation
from olad_core.students.gat import GAT, SLOPE
from olad_core.students.linear import Factors

Rows = npt.NDArray[np.int64]


class FirstLayer(ABC):
    """Computes rows of layer 1 on a CPU. A row's *light sum* is of all its in-neighbours but the hubs.

    Attributes:
        width: of light sums.
        reads_own: whether rows of layer 0 are read once more in the end.
    """

    width: int
    reads_own: bool

    @abstractmethod
    def light(self, below: Tensor, rows: Rows, near: Neighbours) -> Tensor:
        """Light sums ``[n, width]`` of rows, from layer 0 and the in-neighbours that are no hubs."""

    @abstractmethod
    def joined(self, below: Tensor, rows: Rows, light: Tensor, hubs: Neighbours) -> Tensor:
        """What rows of layer 1 are made of, ``[n, d]``: of light sums of all rows, and of hubs among neighbours."""

    @abstractmethod
    def finished(self, joined: Tensor, own: Tensor | None) -> Tensor:
        """Rows of layer 1 as they stand there, from what they are made of and, if read, their rows of layer 0."""


def first_layer(propagation: Propagation) -> FirstLayer | None:
    """The first layer of a student whose messages can be summed in parts, edges being alike; None of another."""
    if propagation.student.relations > 1 or propagation.student.edge_maps:
        return None
    if isinstance(propagation, LinearPropagation):
        return _Linear(propagation)
    if isinstance(propagation.student, GAT):
        return _Attention(propagation, propagation.student)
    return None


class _Linear(FirstLayer):
    """Light sums are multiplied by the factor of what a node receives, which changes only together with them."""

    def __init__(self, propagation: LinearPropagation) -> None:
        self._of = propagation
        self.width = propagation.mixed_widths[0]
        self.reads_own = propagation.student.finish_reads_below

    @override
    def light(self, below: Tensor, rows: Rows, near: Neighbours) -> Tensor:
        own, total, sent = self._of.factors
        nothing = Factors(torch.zeros_like(own[:1]).expand_as(own), total, sent)
        return loops.mix(Mixture(below, self._of.student.sent_from, self.width, nothing), rows, near)

    @override
    def joined(self, below: Tensor, rows: Rows, light: Tensor, hubs: Neighbours) -> Tensor:
        return loops.join(Mixture(below, self._of.student.sent_from, self.width, self._of.factors), rows, light, hubs)

    @override
    def finished(self, joined: Tensor, own: Tensor | None) -> Tensor:
        below = joined[:0] if own is None else own
        mixed = self._of.student.finish(1, joined, below, torch.arange(len(joined)))
        return self._of.raised(1, mixed)


class _Attention(FirstLayer):
    """Light sums are means with the node itself among the neighbours, and the numbers by which means are joined."""

    def __init__(self, propagation: Propagation, student: GAT) -> None:
        self._of, self._student = propagation, student
        self._heads = student.heads_of(1)
        self.width = student.width + 2 * self._heads
        self.reads_own = False

    @override
    def light(self, below: Tensor, rows: Rows, near: Neighbours) -> Tensor:
        targets, index, offsets, weight = map(torch.from_numpy, (rows, near.index, near.indptr, near.weight))
        block = Block(targets, index, offsets, weight, torch.empty(0))
        return attention.attend_in_part(below, self._heads, block, SLOPE)

    @override
    def joined(self, below: Tensor, rows: Rows, light: Tensor, hubs: Neighbours) -> Tensor:
        targets, index, offsets, weight = map(torch.from_numpy, (rows, hubs.index, hubs.indptr, hubs.weight))
        block = Block(targets, index, offsets, weight, torch.empty(0))
        return attention.join_parts(below, self._heads, block, SLOPE, light)

    @override
    def finished(self, joined: Tensor, own: Tensor | None) -> Tensor:
        return self._of.raised(1, self._student.finish(1, joined))
