"""The layers of a frozen student at one rank: exact rows of its own nodes, and copies of rows that these read.

Every row is computed from all its in-neighbours in the order of their numbers, in blocks of a fixed number of rows. So
its bytes depend on the graph and the weights alone: not on the number of ranks, nor on which rows are computed at once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.device import to_device
from olad_core.graph import Changes
from olad_core.graph.arrays import Bools, Float32s, Int64s
from olad_core.messages.inputs import Inputs, StructureSteps
from olad_core.messages.sample import inputs, to_float32
from olad_core.messages.sparse_features import Features
from olad_core.partition.exchange import Records, Superstep, to_all
from olad_core.partition.ordered import sums
from olad_core.partition.sent_rows import HEAD, packed, words_of
from olad_core.partition.store import PartitionStore
from olad_core.serving import loops
from olad_core.serving.blocks import blocks, filled_up, in_blocks
from olad_core.serving.propagation import LinearPropagation, Propagation, lengthened, propagation
from olad_core.serving.touched import Touch, merge
from olad_core.students import Student

BLOCK = 256
"""Rows that are always computed at once. Products of matrices and vectorised functions may round in another way with
another number of rows."""
_PIECE = 4096
"""Rows whose neighbours are looked up at once; a multiple of all block sizes."""
ROWS_SENT_AT_ONCE = 8192
"""Owned rows of a layer that are sent in one exchange where all of them are."""
_CPU = torch.device("cpu")


class _Copied(NamedTuple):
    """Copies of other ranks' rows that became others with an exchange.

    Attributes:
        changed: those whose messages differ.
        reweighted: those of them whose messages differ at all further layers, too, since the degree is in them.
    """

    changed: Int64s
    reweighted: Int64s


class PartitionLayers:
    """Layer 0 to the answers of a frozen student, for the rows of a rank's part of the graph.

    Args:
        student: its weights must not change any more.
        classes: number of classes it predicts.
        store: the part.
    """

    def __init__(self, student: Student, classes: int, store: PartitionStore) -> None:
        self.student = student.eval().requires_grad_(False)
        self._store = store
        # What features of edges add is one product over the edges of a block.
        self._block = 1 if student.edge_maps else BLOCK
        self._propagation: Propagation = propagation(self.student, classes, _CPU, self._block)
        # All but the last one are of all rows; the last one is of the places of owned rows.
        self._layers = [torch.zeros(0, width) for width in self._propagation.widths]
        self._in_weight = torch.zeros(0)
        self._propagation.begin(self._in_weight)

    @torch.no_grad()
    def answers(self, rows: Int64s) -> npt.NDArray[np.float32]:
        """Answers ``[n, 1 + C]`` of owned rows: the expected disagreement, then class probabilities."""
        found = [
            self._propagation.answers(self._layers[-1][to_device(padded, _CPU)])[:count]
            for padded, count in blocks(self._store.places.of[rows].astype(np.int64), self._block)
        ]
        return torch.cat(found).numpy() if found else self._propagation.answers(self._layers[-1][:0]).numpy()

    def follow(self, changes: Changes) -> Superstep[Int64s]:
        """Compute the owned rows of all layers that a change of the graph reaches, together with the other ranks.

        Args:
            changes: of this rank's part.

        Returns:
            The owned rows whose answers are others than before.
        """
        store, graph = self._store, self._store.graph
        self._reserve()
        touch = merge([changes], graph)
        # What another node has left in a place is no answer.
        self._layers[-1].numpy()[store.places.of[store.those_owned(touch.created)]] = np.nan
        received = store.those_owned(graph.distinct(touch.received))
        reweighted = self._reweigh_owned(received)
        changed = self._write_inputs(touch, reweighted)
        appeared = self._appeared(changes)
        # The messages of these differ at every layer; other ranks know it from the first exchange on.
        other_degree = reweighted if self.student.uses_degree else reweighted[:0]
        for layer in range(1, len(self._layers)):
            sending = np.concatenate([changed, other_degree]) if layer == 1 else changed
            copied = yield from self._exchange(layer, sending, appeared)
            near = graph.out_neighbours(np.concatenate([changed, copied.changed, other_degree])).index
            other_degree = np.concatenate([other_degree, copied.reweighted])
            due = graph.distinct(np.concatenate([near, changed, received]))
            changed = self._compute(layer, store.those_owned(due))
        return changed

    @property
    def depth(self) -> int:
        """Layers above the inputs."""
        return len(self._layers) - 1

    def fill(self, layer: int, rows: Int64s) -> Superstep[None]:
        """Compute some owned rows of a layer, and send them to the ranks that read them.

        When this was done for all rows, layer by layer, and :meth:`follow` for all changes meanwhile, all layers are
        what they would be if they had been followed from an empty graph on.

        Args:
            layer: 0 for the inputs; those below it are filled.
            rows: owned, distinct.
        """
        self._reserve()
        if layer == 0:
            self._reweigh_owned(rows)
            self._compute_inputs(rows)
        else:
            self._compute(layer, rows)
        if layer < self.depth:
            yield from self._exchange(layer + 1, rows, (rows[:0], rows[:0]))

    def embed(self) -> Superstep[None]:
        """Compute all owned rows of all layers, together with the other ranks: of a part that was restored."""
        rows = np.flatnonzero(self._store.owned)
        most = yield from _greatest(rows.size, self._store.rank, self._store.ranks)
        for layer in range(self.depth + 1):
            for first in range(0, most, ROWS_SENT_AT_ONCE):
                yield from self.fill(layer, rows[first : first + ROWS_SENT_AT_ONCE])

    def _appeared(self, changes: Changes) -> tuple[Int64s, Int64s]:
        """Owned rows with a new edge to another rank's node, with these ranks: there may be no copy there."""
        new = (changes.weight_before == 0) & (changes.weight_after != 0)
        return self._store.pairs(changes.edge_source[new], changes.edge_target[new])

    def _exchange(self, layer: int, sending: Int64s, appeared: tuple[Int64s, Int64s]) -> Superstep[_Copied]:
        """Send rows of the layer below to the ranks that read them, and write what comes from there."""
        store, below = self._store, self._layers[layer - 1].numpy()
        columns = sent_columns(self._propagation, layer)
        rows, ranks = store.readers(sending)
        if appeared[0].size:
            capacity = store.graph.capacity
            pairs = np.unique(np.concatenate([ranks, appeared[1]]) * capacity + np.concatenate([rows, appeared[0]]))
            ranks, rows = pairs // capacity, pairs % capacity
        kind, in_weight = f"rows of layer {layer - 1}", self._in_weight.numpy()
        received = yield packed(kind, below, columns, rows, ranks, store.number, in_weight, store.ranks)
        copied = [self._take(layer, columns, records) for records in received if records.size]
        nothing = _Copied(rows[:0], rows[:0])
        return _Copied(*map(np.concatenate, zip(nothing, *copied, strict=True)))

    def _take(self, layer: int, columns: slice, records: Records) -> _Copied:
        """Write rows that another rank sent."""
        rows = self._store.rows_of(np.ascontiguousarray(records["number"]))
        first = columns.indices(self._layers[layer - 1].shape[1])[0]
        values = torch.from_numpy(words_of(records))
        changed = loops.exchange(self._layers[layer - 1], rows, values, first=first, skip=HEAD)
        reweighted = self._reweigh(rows, records["in_weight"])
        if not self.student.uses_degree:
            reweighted[:] = False
        return _Copied(rows[changed | reweighted], rows[reweighted])

    @torch.no_grad()
    def _compute(self, layer: int, rows: Int64s) -> Int64s:
        """Compute rows of a layer from the layer below; those that hold other values now."""
        changed = [rows[:0]]
        for first in range(0, len(rows), _PIECE):
            piece = rows[first : first + _PIECE]
            near = self._store.in_neighbours(piece)
            values = self._propagation.rows(self._store.graph, self._layers, layer, piece, near)
            changed.append(self._write(layer, piece, values))
        return np.concatenate(changed)

    def _write_inputs(self, touch: Touch, reweighted: Int64s) -> Int64s:
        """Compute the owned rows of layer 0 whose inputs changed; those that hold other values now."""
        graph = self._store.graph
        due = [touch.features, touch.labels]
        if self.student.feature_width == 0:  # The degree is the input.
            due.append(reweighted)
        if columns := self.student.encoder.columns_read:
            due.append(touch.stepped_in(columns, graph))
        return self._compute_inputs(self._store.those_owned(graph.distinct(np.concatenate(due))))

    @torch.no_grad()
    def _compute_inputs(self, rows: Int64s) -> Int64s:
        """Compute owned rows of layer 0; those that hold other values now."""
        graph, changed = self._store.graph, [rows[:0]]
        # Sparse and dense features are multiplied in other orders: no row may decide for others of its block.
        sparse = graph.features.are_sparse(rows)
        for alike, at_once in ((rows[sparse], self._block), (rows[~sparse], _PIECE)):
            for first in range(0, alike.size, at_once):
                piece = alike[first : first + at_once]
                changed.append(self._write(0, piece, self._encoded(filled_up(piece, self._block))[: piece.size]))
        return np.concatenate(changed)

    def _encoded(self, rows: Int64s) -> Tensor:
        """Layer 0 of whole blocks of rows."""
        given, scale = inputs(self._store.graph, rows, self.student.feature_width, _CPU), self.student.scale
        x, structure = given.x, given.structure
        assert structure is not None, "a graph's nodes have structure"
        if self.student.feature_width == 0:
            x = _log_degrees(self._in_weight[rows])

        def encoded(x: Features, label: Tensor, steps: Tensor) -> Tensor:
            some = Inputs(x, label, structure=StructureSteps(steps))
            return self._propagation.raised(0, self.student.encode(some, scale))

        if isinstance(x, Tensor):
            return in_blocks(self._block, encoded, x, given.label, structure.steps)
        if rows.size == self._block:
            return encoded(x, given.label, structure.steps)
        return torch.cat([self._encoded(block) for block, _ in blocks(rows, self._block)])

    def _write(self, layer: int, rows: Int64s, values: Tensor) -> Int64s:
        at = self._store.places.of[rows].astype(np.int64) if layer == self.depth else rows
        return rows[loops.exchange(self._layers[layer], at, values)]

    def _reweigh_owned(self, rows: Int64s) -> Int64s:
        """Follow the sums of the weights of incoming edges of owned rows; the rows for which it is another."""
        weights = to_float32(sums(self._store.in_neighbours(rows)))
        return rows[self._reweigh(rows, weights)]

    def _reweigh(self, rows: Int64s, weight: Float32s) -> Bools:
        """Set sums of the weights of incoming edges; whether each is another."""
        held = self._in_weight.numpy()
        other: Bools = held[rows] != weight
        held[rows] = weight
        if other.any():
            self._propagation.reweigh(rows[other], self._in_weight)
        return other

    def _reserve(self) -> None:
        """Lengthen all tables to the rows that there may be, the last one to the places."""
        rows, known = self._store.graph.capacity, len(self._in_weight)
        if rows > known:
            self._in_weight = lengthened(self._in_weight, rows)
            # No sum is this one, so that the factors of a row are computed when its first one is set.
            self._in_weight[known:] = math.nan
            self._layers[:-1] = [lengthened(layer, rows) for layer in self._layers[:-1]]
            self._propagation.reweigh(np.empty(0, np.int64), self._in_weight)
        places = self._store.places.end
        if places > len(self._layers[-1]):
            self._layers[-1] = lengthened(self._layers[-1], places * 5 // 4)


def _greatest(count: int, rank: int, ranks: int) -> Superstep[int]:
    """The greatest of a number of each rank."""
    received = yield to_all("counts", np.array([count], np.int64), rank, ranks)
    return max(count, *(int(records[0]) for other, records in enumerate(received) if other != rank), 0)


def sent_columns(of: Propagation, layer: int) -> slice:
    """The columns of rows of the layer below that their out-neighbours read, for a layer above the first."""
    if not isinstance(of, LinearPropagation):
        return slice(None)
    below, width, first = of.widths[layer - 1], of.mixed_widths[layer - 1], of.student.sent_from
    return slice(first, first + width) if first + width <= below else slice(0, width)


def _log_degrees(weight: Tensor) -> Tensor:
    """The input ``[n, 1]`` of students without features; vectorised, a logarithm rounds by its place in memory."""
    return torch.tensor([[math.log1p(each)] for each in weight.tolist()])
