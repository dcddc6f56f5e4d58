"""Rows with very many neighbours. Computing one takes as long as computing thousands of others.

Where features of a hub change, the first layer of all its neighbours changes, and its own answer reads all of these. To
follow it, sums of the first layer are kept without the hubs' messages (*light sums*), which a change of a hub does not
concern. The answer of a hub is then computed in slices, from a copy of what stood there at one position of the log. See
``docs/decisions/0030-hubs.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph import DynamicGraph, Neighbours
from olad_core.serving.answers import Origin
from olad_core.serving.first_layer import FirstLayer
from olad_core.serving.marks import Marks
from olad_core.serving.propagation import Propagation
from olad_core.serving.served_forest import ServedForest
from olad_core.serving.served_linear import ServedLinear
from olad_core.serving.served_member import ServedMember

Rows = npt.NDArray[np.int64]

HUB = 4_096
"""Out-neighbours from which on a row's messages are no part of light sums."""
HEAVY = 16_384
"""In-neighbours from which on a row is not computed in a turn."""
STALE = 0.25
"""Share of the neighbours that must be marked: below it, computing their rows takes less time than a pass over all."""
EDGES_PER_ROW = 4
"""Incoming edges that are as much work as a row itself."""
PIECE = 2_048
"""Neighbours whose rows are computed at once."""
PATIENT_SLICES = 16
"""After so many slices of light sums they are made larger: events may change these as fast as they are computed."""


class HubAnswer(NamedTuple):
    """A hub whose answer has been computed, and the position that it is exact for."""

    row: int
    origin: Origin


@dataclass
class _Copied:
    """What one student's answer for the hub follows from, as it was at one position.

    Attributes:
        layer: the student's first layer.
        propagation: whose rows are the neighbours in their order, and last the hub itself.
        mixed: ``[n, d]``, what the neighbours' rows of layer 1 are made of.
        own: ``[n, d0]``, their rows of layer 0; None where nothing reads them.
        first: ``[n + 1, d1]``, their rows of layer 1 as far as they are made, and last the hub's.
    """

    layer: FirstLayer
    propagation: Propagation
    mixed: Tensor
    own: Tensor | None
    first: Tensor


@dataclass
class _Pass:
    """The computation of one hub's answer from copies.

    Attributes:
        row: of the hub.
        origin: position of the copies.
        near: the hub's neighbours, numbered in their order.
        members: copies for each student.
        of_others: ``[1, C]`` each, what members that are no students predict of the hub.
        done: rows of layer 1 that are made, of all students one after the other.
    """

    row: int
    origin: Origin
    near: Neighbours
    members: list[_Copied]
    of_others: list[npt.NDArray[np.float32]]
    done: int = 0


class HubRows:
    """Knows which rows are heavy, and computes answers of hubs in slices.

    Args:
        members: students whose answers are computed.
        marks: of their layers.
        beside: members that are no students.
    """

    def __init__(
        self, members: Sequence[ServedMember], marks: Marks, beside: Sequence[ServedForest | ServedLinear] = ()
    ) -> None:
        self._members = members
        self._beside = tuple(beside)
        self._marks = marks
        self._layers = [member.first_layer for member in members if member.first_layer]
        self._receivers: Rows | None = None
        self._senders = np.empty(0, np.int64)
        self._changed = np.empty(0, np.uint8)
        self._light: list[Tensor] = []
        self._pass: _Pass | None = None
        self._slices = 0

    def split(self, graph: DynamicGraph, rows: Rows) -> tuple[Rows, Rows]:
        """Rows of the last layer that are computed in a turn, and those that are not.

        These are heavy rows, rows that read marked heavy ones, and stale hubs.
        """
        hubs = self._hubs(graph)
        if not len(hubs) or not len(rows):
            return rows, rows[:0]
        hubs = hubs[graph.in_degree(hubs) >= HEAVY]
        heavy = np.isin(rows, np.concatenate([hubs, self.stale(graph, rows)]))
        if self._marks.layers > 1 and len(hubs):
            hubs = hubs[self._marks.marked(self._marks.layers - 1)[hubs] > 0]
            near = graph.in_neighbours(rows[~heavy])
            targets = np.repeat(np.flatnonzero(~heavy), np.diff(near.indptr))
            heavy[targets[np.isin(near.index, hubs)]] = True
        return rows[~heavy], rows[heavy]

    def stale(self, graph: DynamicGraph, rows: Rows) -> Rows:
        """The hubs among these rows that have so many marked neighbours that :meth:`copy` is the faster way."""
        hubs = self._hubs(graph)
        if not len(hubs) or not self._follows_first_layers:
            return rows[:0]
        return np.array([row for row in rows[np.isin(rows, hubs)].tolist() if self._is_stale(graph, row)], np.int64)

    def follow(self, graph: DynamicGraph, senders: Rows, received: Rows) -> Rows:
        """Rows of layer 1 that follow from other messages of some rows, or receive others themselves.

        Their light sums are noted as changed, but for those that follow from hubs.
        """
        self._follow_degrees(graph, received)
        if not self._light:
            return np.concatenate([graph.out_neighbours(senders).index, senders, received])
        hubs = np.isin(senders, self._senders)
        light = np.concatenate([graph.out_neighbours(senders[~hubs]).index, senders, received])
        self._changed[light] = 1
        return np.concatenate([light, graph.out_neighbours(senders[hubs]).index])

    def drop(self, rows: Rows) -> None:
        """Give up the pass of a hub that is among these rows: it is another node, or is computed otherwise."""
        if self._pass and (rows == self._pass.row).any():
            self._pass = None

    def fit(self, rows: int) -> None:
        """Follow a graph of so many rows. Light sums begin anew: that is rare."""
        if self._light and rows > len(self._changed):
            self._light, self._senders = [], self._senders[:0]

    @property
    def row(self) -> int | None:
        """The hub that is being computed from copies, if any."""
        return self._pass.row if self._pass else None

    def prepare(self, graph: DynamicGraph, row: int, most_work: int) -> int:
        """Compute light sums of a hub's neighbours; the work that it was, 0 where none is left to compute."""
        self._follow_hubs(graph)
        near = graph.in_neighbours(np.array([row])).index
        rows = near[self._changed[near] > 0]
        work = np.cumsum(1 + graph.in_degree(rows) // EDGES_PER_ROW)
        self._slices += 1
        most = max(1, most_work // len(self._members)) * (1 + self._slices // PATIENT_SLICES)
        count = max(1, int(np.searchsorted(work, most, side="right")))
        left = len(rows) > count
        self._compute_light(graph, rows[:count])
        return len(self._members) * int(work[count - 1]) if left else 0

    def copy(self, graph: DynamicGraph, row: int, origin: Origin) -> int:
        """Begin to compute a hub's answer, its row of layer 1 and all light sums being computed; the work that it was.

        Args:
            graph: the live graph.
            row: of the hub.
            origin: where in the log the graph is.
        """
        self._slices = 0
        near = graph.in_neighbours(np.array([row]))
        rows, among = np.append(near.index, row), Neighbours(near.indptr, np.arange(len(near.index)), near.weight)
        messages = self._of_hubs(graph, near.index)
        copies = []
        for member, layer, light in zip(self._members, self._layers, self._light, strict=True):
            mixed = layer.joined(member.layers[0], near.index, light, messages)
            own = member.layers[0][torch.from_numpy(near.index)] if layer.reads_own else None
            first = torch.empty(len(rows), member.layers[1].shape[1])
            first[-1] = member.layers[1][row]
            copies.append(_Copied(layer, member.propagation.narrowed(rows), mixed, own, first))
        of_others = [other.predict(graph, np.array([row])) for other in self._beside]
        self._pass = _Pass(row, origin, among, copies, of_others)
        return len(self._members) * len(rows) // EDGES_PER_ROW

    def advance(self, graph: DynamicGraph, most_work: int) -> tuple[int, HubAnswer | None]:
        """Go on with the pass by one slice; the work that it was, and the hub once its answer is computed."""
        running = self._pass
        assert running is not None, "copy first"
        if not graph.alive[running.row]:
            self._pass = None
            return 0, None
        count, work = len(running.near.index), 0
        while work < most_work and running.done < count * len(self._members):
            number, start = divmod(running.done, count)
            copied, end = running.members[number], min(start + PIECE, count)
            own = None if copied.own is None else copied.own[start:end]
            copied.first[start:end] = copied.layer.finished(copied.mixed[start:end], own)
            running.done += end - start
            work += end - start
        if running.done < count * len(self._members):
            return work, None
        place, hub = np.array([count]), np.array([running.row])
        for member, copied in zip(self._members, running.members, strict=True):
            layers = [copied.mixed, copied.first]
            member.write(2, hub, copied.propagation.rows(graph, layers, 2, place, running.near))
        for other, answers in zip(self._beside, running.of_others, strict=True):
            other.write(hub, answers)
        self._pass = None
        work += len(self._members) * count // EDGES_PER_ROW
        return work, HubAnswer(running.row, running.origin)

    @property
    def _follows_first_layers(self) -> bool:
        """Whether light sums can be kept of all students."""
        return self._marks.layers == 2 and len(self._layers) == len(self._members)

    def _is_stale(self, graph: DynamicGraph, hub: int) -> bool:
        near = graph.in_neighbours(np.array([hub]))
        if near.by_relation is not None:
            return False
        marked = int(np.count_nonzero(self._marks.marked(1)[near.index]))
        return marked > max(HUB // 2, STALE * len(near.index))

    def _hubs(self, graph: DynamicGraph) -> Rows:
        """Rows with many in-neighbours."""
        if self._receivers is None:
            self._receivers = np.flatnonzero(graph.in_degree(np.arange(graph.capacity)) >= HUB)
        return self._receivers

    def _follow_degrees(self, graph: DynamicGraph, received: Rows) -> None:
        """Follow which rows are hubs, some having more or fewer neighbours."""
        known = self._hubs(graph)
        if len(known) or (graph.in_degree(received) >= HUB).any():
            rows = np.union1d(known, received)
            self._receivers = rows[graph.in_degree(rows) >= HUB]

    def _follow_hubs(self, graph: DynamicGraph) -> None:
        """Let light sums be without the messages of the rows that have very many out-neighbours now."""
        if not self._light:
            self._changed = np.ones(graph.capacity, np.uint8)
            shapes = [(graph.capacity, layer.width) for layer in self._layers]
            self._light = [torch.from_numpy(np.zeros(shape, np.float32)) for shape in shapes]
        senders = np.flatnonzero(graph.out_degree(np.arange(graph.capacity)) >= HUB)
        others = np.setxor1d(senders, self._senders)
        if len(others):
            self._changed[graph.out_neighbours(others).index] = 1
        self._senders = senders

    def _compute_light(self, graph: DynamicGraph, rows: Rows) -> None:
        """Compute light sums of rows."""
        for start in range(0, len(rows), PIECE):
            piece = rows[start : start + PIECE]
            near = graph.in_neighbours(piece)
            kept = ~np.isin(near.index, self._senders)
            counts = np.zeros(len(near.index) + 1, np.int64)
            np.cumsum(kept, out=counts[1:])
            light = Neighbours(counts[near.indptr], near.index[kept], near.weight[kept])
            index = torch.from_numpy(piece)
            for member, layer, table in zip(self._members, self._layers, self._light, strict=True):
                table[index] = layer.light(member.layers[0], piece, light)
            self._changed[piece] = 0

    def _of_hubs(self, graph: DynamicGraph, rows: Rows) -> Neighbours:
        """For distinct rows the hubs among their in-neighbours."""
        near = graph.out_neighbours(self._senders)
        place = np.full(graph.capacity, -1)
        place[rows] = np.arange(len(rows))
        target = place[near.index]
        order = np.argsort(target, kind="stable")[np.count_nonzero(target < 0) :]
        indptr = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(np.bincount(target[order], minlength=len(rows)), out=indptr[1:])
        source = np.repeat(self._senders, np.diff(near.indptr))
        return Neighbours(indptr, source[order], near.weight[order])
