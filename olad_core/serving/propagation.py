"""How the rows of a frozen student's layers follow from those of the layer below."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from copy import copy

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from olad_core.device import to_device
from olad_core.graph import DynamicGraph, Neighbours
from olad_core.messages.sample import to_block
from olad_core.serving import loops, tensors
from olad_core.serving.blocks import blocks, filled_up, in_blocks, with_nothing
from olad_core.serving.operations import Mixture, Operations
from olad_core.students import Block, LinearStudent, Student
from olad_core.students.linear import Factors
from olad_core.tasks import node_class

Rows = npt.NDArray[np.int64]


class Propagation(ABC):
    """The layers of a frozen student above its inputs.

    The last one holds answers. With many classes it holds embeddings, from which answers are computed on demand.

    Args:
        student: frozen.
        classes: number of classes it predicts.
        block: rows that products of matrices are always of; None where they may be of any number.

    Attributes:
        student: frozen.
        widths: of all layers.
    """

    widths: tuple[int, ...]

    def __init__(self, student: Student, classes: int, block: int | None = None) -> None:
        self.student = student
        self._block = block
        self._outputs = node_class.head_width(classes)
        self.keeps_embeddings = node_class.are_wide(classes)
        """Whether the last layer holds embeddings."""

    def answers(self, rows: Tensor) -> Tensor:
        """Answers from rows of the last layer."""
        return self._of_embeddings(rows) if self.keeps_embeddings else rows

    def _of_embeddings(self, rows: Tensor) -> Tensor:
        return self.student.answers(self.student.read(rows)[:, : self._outputs])

    @abstractmethod
    def raised(self, layer: int, rows: Tensor) -> Tensor:
        """Rows as they stand in a layer, from those of the student's layer; these may be overwritten."""

    def rows(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows, near: Neighbours) -> Tensor:
        """Rows of a layer above the first, from the layer below.

        Args:
            graph: as it is now.
            layers: rows of all layers.
            layer: 1 or more.
            rows: which to compute.
            near: their in-neighbours.
        """
        size = self._block
        if size is None or not rows.size:
            return self._rows(graph, layers, layer, rows, near)
        found = []
        for number, (padded, count) in enumerate(blocks(rows, size)):
            part = with_nothing(near.of(number * size, count), size)
            found.append(self._rows(graph, layers, layer, padded, part)[:count])
        return torch.cat(found)

    @abstractmethod
    def _rows(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows, near: Neighbours) -> Tensor:
        """The same of rows that are computed at once."""

    @abstractmethod
    def narrowed(self, rows: Rows) -> Propagation:
        """The same for these rows alone, as they are now; they are numbered in their order."""

    @abstractmethod
    def begin(self, in_weight: Tensor) -> None:
        """Start with a graph whose sums of incoming weights are these."""

    @abstractmethod
    def reweigh(self, rows: Rows, in_weight: Tensor) -> None:
        """Follow other sums of incoming weights, of these rows; ``in_weight`` is of all rows."""


def propagation(student: Student, classes: int, device: torch.device, block: int | None = None) -> Propagation:
    """How a student's layers are computed; arguments are those of :class:`Propagation`."""
    if isinstance(student, LinearStudent):
        return LinearPropagation(student, classes, device, block)
    return BlockPropagation(student, classes, block)


def operations(device: torch.device) -> Operations:
    """What is fast on a device."""
    return loops if device.type == "cpu" else tensors


class BlockPropagation(Propagation):
    """Rows are computed by the student itself from blocks: right for any student.

    Args:
        student: frozen.
        classes: number of classes it predicts.
        block: as of :class:`Propagation`.
    """

    def __init__(self, student: Student, classes: int, block: int | None = None) -> None:
        super().__init__(student, classes, block)
        self._in_weight = torch.zeros(0)
        self.widths = (*student.layer_widths[:-1], student.width if self.keeps_embeddings else self._outputs)

    @override
    def raised(self, layer: int, rows: Tensor) -> Tensor:
        if layer < len(self.widths) - 1 or self.keeps_embeddings:
            return rows
        return self._of_embeddings(rows)

    @override
    def _rows(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows, near: Neighbours) -> Tensor:
        below = layers[layer - 1]
        if below.device.type != "cpu":
            block, sources = to_block(graph, rows, near, below.device)
            below = below[to_device(sources, below.device)]
        else:
            # Students read what the block names: on a CPU there is no need to gather it first.
            targets, index, offsets, weight = map(torch.from_numpy, (rows, near.index, near.indptr, near.weight))
            by_relation = None if near.by_relation is None else torch.from_numpy(near.by_relation)
            x = None if near.x is None else torch.from_numpy(near.x)
            block = Block(targets, index, offsets, weight, self._in_weight, by_relation=by_relation, x=x)
        return self.raised(layer, self.student.layer(layer, below, block))

    @override
    def narrowed(self, rows: Rows) -> BlockPropagation:
        some = copy(self)
        some._in_weight = self._in_weight[to_device(rows, self._in_weight.device)]
        return some

    @override
    def begin(self, in_weight: Tensor) -> None:
        self._in_weight = in_weight

    @override
    def reweigh(self, rows: Rows, in_weight: Tensor) -> None:
        self._in_weight = in_weight


class LinearPropagation(Propagation):
    """The propagation of a linear student.

    Where its last layer is linear, the layer before holds logits: there are mostly fewer classes than the embedding
    is wide.

    Args:
        student: frozen.
        classes: number of classes it predicts.
        device: where everything is.
        block: as of :class:`Propagation`.

    Attributes:
        mixed_widths: of what is mixed into layer 1 and above.
        factors: of all rows.
    """

    student: LinearStudent

    def __init__(self, student: LinearStudent, classes: int, device: torch.device, block: int | None = None) -> None:
        super().__init__(student, classes, block)
        self._device = device
        self._operations = operations(device)
        self._last = student.num_layers
        self._maps = student.relation_maps
        outputs = self._outputs
        narrow = not self.keeps_embeddings and outputs < student.message_widths[-1]
        plain = not student.relation_maps and not student.edge_maps
        self._logits = student.ends_linearly and narrow and plain
        below, self.mixed_widths = list(student.prepared_widths), list(student.message_widths)
        if self._logits:
            below[-1] = self.mixed_widths[-1] = outputs
        self.widths = (*below, student.width if self.keeps_embeddings else outputs)
        self.factors = student.factors(torch.zeros(0, device=device))

    @override
    def raised(self, layer: int, rows: Tensor) -> Tensor:
        head, width = self.student.head, self._outputs
        if layer == self._last:
            if self._logits:
                return self.student.answers(rows + head.bias[:width])
            return rows if self.keeps_embeddings else self._of_embeddings(rows)
        rows = self.student.prepare(layer + 1, rows)
        return F.linear(rows, head.weight[:width]) if self._logits and layer == self._last - 1 else rows

    @override
    def rows(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows, near: Neighbours) -> Tensor:
        if self._block is None or self._maps or self.student.edge_maps or not rows.size:
            return super().rows(graph, layers, layer, rows, near)
        # Rows are mixed one by one, so that only what follows has to be done in blocks.
        padded = filled_up(rows, self._block)
        mixed = self._operations.mix(self._mixture(layers, layer), padded, with_nothing(near, padded.size))

        def finished(mixed: Tensor, index: Tensor) -> Tensor:
            return self._finished(layers, layer, mixed, index)

        return in_blocks(self._block, finished, mixed, to_device(padded, self._device))[: rows.size]

    @override
    def _rows(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows, near: Neighbours) -> Tensor:
        mixture = self._mixture(layers, layer)
        mixed = (
            self._by_relation(mixture, layer, rows, near) if self._maps else self._operations.mix(mixture, rows, near)
        )
        if self.student.edge_maps and near.x is not None:
            mixed = mixed + self._of_edges(layer, rows, near)
        return self._finished(layers, layer, mixed, to_device(rows, self._device))

    def _mixture(self, layers: list[Tensor], layer: int) -> Mixture:
        first = 0 if self._mixes_logits(layer) else self.student.sent_from
        return Mixture(layers[layer - 1], first, self.mixed_widths[layer - 1], self.factors)

    def _finished(self, layers: list[Tensor], layer: int, mixed: Tensor, index: Tensor) -> Tensor:
        if not self._mixes_logits(layer):
            mixed = self.student.finish(layer, mixed, layers[layer - 1], index)
        return self.raised(layer, mixed)

    def _mixes_logits(self, layer: int) -> bool:
        return self._logits and layer == self._last

    def _of_edges(self, layer: int, rows: Rows, near: Neighbours) -> Tensor:
        """The terms of the messages that follow from the features of edges."""
        assert near.x is not None, "edges have features"
        x, offsets, sources = (
            to_device(near.x, self._device),
            *(to_device(at, self._device) for at in (near.groups, near.index)),
        )
        index, counts = to_device(rows, self._device), to_device(np.diff(near.indptr), self._device)
        weight = to_device(near.weight, self._device) * self.factors.sent[sources]
        weight = weight * self.factors.total[index].repeat_interleave(counts)
        return self.student.of_edges(layer, Block(index, sources, offsets, weight, self.factors.own, x=x), weight)

    def _by_relation(self, mixture: Mixture, layer: int, rows: Rows, near: Neighbours) -> Tensor:
        """What :meth:`Operations.mix` gives, the messages along edges of each type being mapped by the type."""
        below, _, width, factors = mixture
        groups = near.groups
        nothing = factors.own.new_zeros(1).expand(len(factors.own))
        received = self._operations.mix(
            mixture._replace(factors=factors._replace(own=nothing)),
            np.repeat(rows, near.types),
            Neighbours(groups, near.index, near.weight),
        )
        index = to_device(rows, self._device)
        mapped: Tensor = self._maps[layer - 1](received, len(rows))
        return mapped.addcmul_(below[:, :width].index_select(0, index), factors.own[index].unsqueeze(1))

    @override
    def narrowed(self, rows: Rows) -> LinearPropagation:
        some, index = copy(self), to_device(rows, self._device)
        some.factors = Factors(*(table[index] for table in self.factors))
        return some

    @override
    def begin(self, in_weight: Tensor) -> None:
        self.factors = together(self.student.factors(in_weight))

    @override
    def reweigh(self, rows: Rows, in_weight: Tensor) -> None:
        known = len(self.factors.own)
        if len(in_weight) > known:
            more = self.student.factors(in_weight[known:])
            self.factors = together(Factors(*map(torch.cat, zip(self.factors, more, strict=True))))
        index = to_device(rows, self._device)
        for table, values in zip(self.factors, self._factors(in_weight[index]), strict=True):
            table[index] = values

    def _factors(self, in_weight: Tensor) -> Iterable[Tensor]:
        if self._block is None or not len(in_weight):
            return self.student.factors(in_weight)
        padded = F.pad(in_weight, (0, -len(in_weight) % self._block))

        def factors(some: Tensor) -> Tensor:
            return torch.stack(self.student.factors(some), dim=1)

        return in_blocks(self._block, factors, padded)[: len(in_weight)].unbind(1)


def together(factors: Factors) -> Factors:
    """The same in one table: those of one node then mostly stand in one line of the cache."""
    table = torch.stack(factors, dim=1)
    return Factors(*copied(table, table.device).unbind(1))


def lengthened(table: Tensor, rows: int) -> Tensor:
    """A table of at least so many rows; new ones are zero."""
    if rows <= len(table):
        return table
    shape = (rows, *table.shape[1:])
    # Memory of numpy's stands on huge pages: rows all over a table are then found a third faster.
    longer = torch.from_numpy(np.zeros(shape, np.float32)) if table.device.type == "cpu" else table.new_zeros(shape)
    longer[: len(table)] = table
    return longer


def copied(table: Tensor, device: torch.device) -> Tensor:
    """A copy in memory that rows all over it are found in fast."""
    copy = lengthened(table[:0].to(device), len(table))
    return copy.copy_(table) if len(table) else copy
