"""How changes pass from one layer to the next, and how the rows of a layer follow from those of the layer below."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from typing_extensions import override

from olad_core.device import to_device
from olad_core.graph import DynamicGraph
from olad_core.messages.sample import to_block
from olad_core.serving.touched import Touch
from olad_core.students import Block, Student

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Renewed:
    """Rows of one layer that were written.

    Attributes:
        rows: distinct graph rows, ascending.
        before: ``[n, d]``, what stood there.
        changed: bool ``[n]``, whether other values stand there now.
    """

    rows: Rows
    before: Tensor
    changed: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Step:
    """A change of the graph that an embedding follows.

    Attributes:
        graph: as it is now.
        touch: what changed.
        layers: rows of all layers, being brought up to it from the lowest on.
        in_weight: sums of the weights of all rows' incoming edges, as they are now.
        in_weight_before: of ``touch.edges``.
        reweighted: those of ``touch.edges`` for which it is another.
    """

    graph: DynamicGraph
    touch: Touch
    layers: list[Tensor]
    in_weight: Tensor
    in_weight_before: Tensor
    reweighted: Rows


Receive: TypeAlias = Callable[[int, Renewed, int], Rows]
"""The touched rows of a layer below a limit, ascending, given what was written to the layer below."""


class Propagation(ABC):
    """The layers of a frozen student above its inputs; the last one holds probabilities.

    What is kept beside the layers is kept here; without more said, that is nothing.

    Attributes:
        widths: of all layers.
    """

    widths: tuple[int, ...]

    @abstractmethod
    def raised(self, layer: int, rows: Tensor) -> Tensor:
        """Rows as they stand in a layer, from those of the student's layer; these may be overwritten."""

    @abstractmethod
    def rows(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows, in_weight: Tensor) -> Tensor:
        """Rows of a layer above the first, from the layer below and what is kept."""

    @abstractmethod
    def follow(self, step: Step) -> Receive:
        """Begin to follow a change of the graph."""

    def fit(self, in_weight: Tensor) -> None:  # noqa: B027
        """Make room for as many rows as there are sums of weights."""

    def begin(self, in_weight: Tensor) -> None:  # noqa: B027
        """Start with a graph whose sums of weights are these."""

    def sum_afresh(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows) -> None:  # noqa: B027
        """Bring what is kept of rows up to date, from all their neighbours."""

    def state(self, rows: int | None) -> dict[str, Tensor]:  # noqa: ARG002
        """Tensors for a checkpoint, of the first rows: those in use, not copies of them."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor], in_weight: Tensor) -> None:  # noqa: B027
        """Take over the tensors of :meth:`state`."""


def distinct(graph: DynamicGraph, *rows: Rows) -> Rows:
    """The rows in any of these, each once, ascending."""
    found = graph.distinct(np.concatenate(rows))
    found.sort()
    return found


def places(known: Rows, rows: Rows) -> Rows:
    """Where each of ``rows`` stands among the ``known`` ones, which are ascending; -1 where it does not."""
    if not len(known):
        return np.full(len(rows), -1)
    place = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    return np.where(known[place] == rows, place, -1)


def lengthened(table: Tensor, rows: int) -> Tensor:
    """A table with room for so many rows; new ones are zero."""
    if rows <= len(table):
        return table
    shape = (rows, *table.shape[1:])
    # Memory of numpy's stands on huge pages: rows all over a table are then found a third faster.
    longer = torch.from_numpy(np.zeros(shape, np.float32)) if table.device.type == "cpu" else table.new_zeros(shape)
    longer[: len(table)] = table
    return longer


def copied(table: Tensor, device: torch.device) -> Tensor:
    """A copy in memory that rows all over it are found in fast."""
    room = lengthened(table[:0].to(device), len(table))
    return room.copy_(table) if len(table) else room


class Recomputing(Propagation):
    """Touched rows are computed from all their neighbours: right for any student.

    Args:
        student: frozen.
        classes: number of classes it speaks of.
    """

    def __init__(self, student: Student, classes: int) -> None:
        self._student = student
        self.widths = (*student.layer_widths[:-1], 1 + classes)

    @override
    def raised(self, layer: int, rows: Tensor) -> Tensor:
        if layer < len(self.widths) - 1:
            return rows
        return self._student.answers(self._student.read(rows)[:, : self.widths[-1]])

    @override
    def rows(self, graph: DynamicGraph, layers: list[Tensor], layer: int, rows: Rows, in_weight: Tensor) -> Tensor:
        near, below = graph.in_neighbours(rows), layers[layer - 1]
        if below.device.type != "cpu":
            block, sources = to_block(graph, rows, near, below.device)
            below = below[to_device(sources, below.device)]
        else:
            # Students read what the block names: on a CPU there is no need to gather it first.
            targets, index, offsets, weight = map(torch.from_numpy, (rows, near.index, near.indptr, near.weight))
            block = Block(targets, index, offsets, weight, in_weight)
        return self.raised(layer, self._student.layer(layer, below, block))

    @override
    def follow(self, step: Step) -> Receive:
        def receive(_: int, below: Renewed, limit: int) -> Rows:
            changed, edges = below.rows[below.changed], step.touch.edges
            senders = distinct(step.graph, changed, step.reweighted) if self._student.uses_degree else changed
            rows = distinct(step.graph, step.graph.out_neighbours(senders).index, changed, edges)
            return rows[(rows < limit) & step.graph.alive[rows]]

        return receive
