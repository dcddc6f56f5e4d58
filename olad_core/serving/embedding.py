"""All layers of frozen students for all nodes: exact wherever they are not marked, computed on demand."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.device import to_device
from olad_core.graph import DynamicGraph, Neighbours
from olad_core.linear.member import check_model
from olad_core.messages.sample import in_weight, inputs
from olad_core.named_state import join_parts, take_part
from olad_core.serving.answers import NEVER, Origin
from olad_core.serving.combination import FOREST, LINEAR, Combination
from olad_core.serving.hub_rows import EDGES_PER_ROW, HubAnswer, HubRows
from olad_core.serving.marks import Marks, UInt8s
from olad_core.serving.propagation import lengthened
from olad_core.serving.served_forest import ServedForest
from olad_core.serving.served_linear import ServedLinear
from olad_core.serving.served_member import Recall, ServedMember, without_memory
from olad_core.serving.touched import Touch
from olad_core.step_size import FULL_SIZE, StepSize
from olad_core.students import Student
from olad_core.tasks import node_class
from olad_core.trees.table import Tables

Rows = npt.NDArray[np.int64]

CHUNK = 131_072
"""Work in one slice of background work, in rows of layers: bounds its length."""
SCANNED = 65_536
"""Rows that are searched at once for the next ones of a pass: few may be alive, or marked."""
PIECE = 2048
"""Rows computed at once: what lies between two operations on them stays in the cache."""
CELLS = 2**20
"""Probabilities of all members that are computed at once."""


@dataclass(frozen=True)
class Computed:
    """What computing rows did.

    Attributes:
        rows: of the last layer that were computed, each once.
        work: how much it was, in rows of layers.
    """

    rows: Rows
    work: int


class _Place(NamedTuple):
    """Where the first pass over all rows is: in which layer, and at which row of it."""

    layer: int
    row: int


class Embedding:
    """Layer 0 to the answers of frozen students, for the rows of a live graph.

    A change of the graph *marks* the rows of every layer that it reaches (:meth:`mark`). Marked rows are computed
    when somebody wants them (:meth:`compute`), from all their neighbours; what is marked beneath them is computed
    first. Layer 0 has no marks: what a change reaches there is computed at once. Several students have their marks in
    common: a row is marked where it is for any of them, and neighbours are looked up once.

    A new embedding is filled by a pass over all rows, layer by layer, in slices (:meth:`advance`), while the graph
    goes on changing. A second pass over the last layer computes what was marked meanwhile.

    Args:
        members: the students, of one feature width and number of layers.
        combination: how their answers become one; None where there is only one. Its forest and its linear model
            are members, after the students, whose rows are computed with their last layers.
        device: where it computes and where the layers stay.
    """

    def __init__(
        self, members: Sequence[ServedMember], device: torch.device, combination: Combination | None = None
    ) -> None:
        self.members = tuple(members)
        self.combination = combination
        self.classes = members[0].classes
        forest = combination.forest if combination else None
        self.forest = ServedForest(forest, self.classes) if forest else None
        linear = combination.linear if combination else None
        self.linear = ServedLinear(linear, self.classes) if linear else None
        self._device = device
        self._last: int = len(members[0].layers) - 1
        self._marks: Marks
        self._hubs: HubRows
        self._left_hubs: dict[int, None]
        self._hub_answers: list[HubAnswer]
        self._place: _Place
        self._allocate()

    @classmethod
    def alone(cls, student: Student, classes: int, device: torch.device, recall: Recall = without_memory) -> Embedding:
        """Of one student; arguments as for :class:`~olad_core.serving.served_member.ServedMember`."""
        return cls([ServedMember(student, classes, device, recall)], device)

    @property
    def hops(self) -> int:
        """How many edges away an answer reads: the degree of a neighbour is its edges, which trees read."""
        return max(self._last, 2) if self._beside else self._last

    def on_part(self, graph: DynamicGraph, rows: Rows) -> Embedding:
        """An embedding of a part of the graph by the same students; inputs are written, and all above is marked.

        Args:
            graph: the part.
            rows: of the whole graph, of the first rows of the part.
        """
        part = Embedding([member.on_part(rows) for member in self.members], self._device, self.combination)
        part._reserve(graph.capacity)
        part._in_weight = in_weight(graph, np.arange(graph.capacity), self._device)
        part._begin()
        with torch.no_grad():
            part._write_inputs(graph, np.flatnonzero(graph.alive))
        return part

    @property
    def student(self) -> Student:
        """The first one."""
        return self.members[0].student

    @property
    def students(self) -> tuple[Student, ...]:
        """Those whose answers they are."""
        return tuple(member.student for member in self.members)

    @property
    def complete(self) -> bool:
        """Whether both passes over all rows are done."""
        return self._place.layer > self._last + 1 and not self._left_hubs

    def progress(self, graph: DynamicGraph) -> float:
        """Share of the two passes that is done, in ``[0, 1]``."""
        done = self._place.layer + self._place.row / max(graph.capacity, 1)
        return min(1.0, done / (self._last + 2))

    def marked(self, graph: DynamicGraph) -> Rows:
        """Nodes whose answers are of an earlier position, or not computed yet."""
        self._reserve(graph.capacity)
        return np.flatnonzero(self.marks & graph.alive)

    @property
    def marks(self) -> UInt8s:
        """uint8 ``[capacity]``, 1 where the answer of a row is marked; rows without a node mean nothing."""
        return self._marks.marked(self._last)

    def mark(self, graph: DynamicGraph, touch: Touch) -> Rows:
        """Mark what a change of the graph reaches; the rows of the last layer that were not marked before."""
        self._reserve(graph.capacity)
        self._hubs.drop(touch.created)
        senders = self._reweigh(graph, touch.edges) if len(touch.edges) else touch.edges
        received = touch.received
        with torch.no_grad():
            reached = self._renew_inputs(graph, touch, senders)
        if not any(student.uses_degree for student in self.students):
            senders = senders[:0]
        for layer in range(1, self._last + 1):
            sending = np.concatenate([reached, senders])
            if layer == 1:
                reached = self._marks.add(1, self._hubs.follow(graph, sending, received))
                continue
            near = graph.out_neighbours(sending)
            reached = self._marks.add(layer, np.concatenate([near.index, sending, received]))
        return reached

    def compute(self, graph: DynamicGraph, rows: Rows) -> Computed:
        """Compute those of the rows of the last layer that are marked, and what is marked beneath them."""
        self._reserve(graph.capacity)
        return self._compute(graph, self._last, rows)

    def split(self, graph: DynamicGraph, rows: Rows) -> tuple[Rows, Rows]:
        """Rows of the last layer, and those of them that cannot be computed without all neighbours of a hub."""
        self._reserve(graph.capacity)
        return self._hubs.split(graph, rows)

    def stale_hubs(self, graph: DynamicGraph, rows: Rows) -> Rows:
        """The hubs among these rows that :meth:`advance_hub` computes in less time than :meth:`compute`."""
        self._reserve(graph.capacity)
        return self._hubs.stale(graph, rows)

    @property
    def hub(self) -> int | None:
        """Row of the hub whose answer is being computed in slices, if there is one."""
        return self._hubs.row

    def advance_hub(
        self, graph: DynamicGraph, row: int, origin: Origin, most_work: int
    ) -> tuple[int, HubAnswer | None]:
        """Go on computing a hub's answer by one slice, without computing the rows of its neighbours.

        The answer is that of an earlier slice's position, so its row stays marked. Another hub that is under way
        comes first.

        Args:
            graph: the live graph.
            row: of the hub.
            origin: where in the log the graph is.
            most_work: about how much is done, in rows of layers.

        Returns:
            The work that it was, and the answer after the last slice.
        """
        if self._hubs.row is not None:
            return self._hubs.advance(graph, most_work)
        work = self._hubs.prepare(graph, row, most_work)
        if work:
            return work, None
        return self._compute(graph, 1, np.array([row])).work + self._hubs.copy(graph, row, origin), None

    def take_hub_answers(self) -> list[HubAnswer]:
        """Answers of hubs that :meth:`advance` has computed since the last call."""
        taken, self._hub_answers = self._hub_answers, []
        return taken

    def advance(self, graph: DynamicGraph, size: StepSize = FULL_SIZE, origin: Origin = NEVER) -> Rows:
        """Go on with the passes over all rows by one slice; the rows of the last layer that it computed.

        Hubs whose neighbours are marked come last, in slices too (:meth:`take_hub_answers`).

        Args:
            graph: the live graph.
            size: of the slice.
            origin: where in the log the graph is.
        """
        self._reserve(graph.capacity)
        if self._place == (0, 0):
            self._in_weight = in_weight(graph, np.arange(graph.capacity), self._device)
            self._begin()
        found: list[Rows] = []
        left = max(1, size.of(CHUNK))
        while left > 0 and not self.complete:
            if self._place.layer > self._last + 1:
                computed = self._advance_left_hubs(graph, origin, left)
                found.append(computed.rows)
                left -= max(1, computed.work)
                continue
            layer = min(self._place.layer, self._last)
            rows = self._next_rows(graph, left)
            if layer == 0:
                with torch.no_grad():
                    self._write_inputs(graph, rows)
                left -= max(1, self._cost * len(rows))
                continue
            if layer == self._last:
                stale = self._hubs.stale(graph, rows)
                self._left_hubs.update(dict.fromkeys(stale.tolist()))
                rows = rows if not len(stale) else np.setdiff1d(rows, stale)
            computed = self._compute(graph, layer, rows)
            left -= max(1, computed.work)
            if layer == self._last:
                found.append(computed.rows)
        return np.concatenate([np.empty(0, dtype=np.int64), *found])

    def begin_anew(self) -> None:
        """Follow a graph whose rows are given out from the first one again: it has no node."""
        complete = self.complete
        self._allocate()
        if complete:
            self._place = _Place(self._last + 2, 0)

    def probabilities(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Class probabilities ``[n, C]`` of computed rows."""
        if self.combination is None:
            return self.members[0].probabilities(rows)
        return self.combination.probabilities(self._by_member(rows))

    def of_students(
        self, graph: DynamicGraph, rows: Rows, probabilities: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """The class probabilities ``[n, C]`` of computed rows where the students predict these: ``[n, G, C]``.

        The own labels of the rows are hidden from the other members, too: one reads them over two hops.
        """
        if self.combination is None:
            return probabilities[:, 0]
        by_others = [self.forest.probabilities(rows)] if self.forest else []
        if self.linear:
            by_others.append(self.linear.predict(graph, rows, hidden=rows))
        return self.combination.probabilities(_beside(probabilities, by_others))

    def probability_of(self, rows: Rows, number: int) -> npt.NDArray[np.float32]:
        """Probability ``[n]`` of one class for computed rows."""
        if self._keeps_answers:
            return self.members[0].column(rows, node_class.head_width(number))
        return np.concatenate([self.probabilities(piece)[:, number] for piece in self.pieces(rows)])

    def disagreement(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Disagreement ``[n]`` of the group about computed rows, from 0 to 1."""
        if self._keeps_answers:
            return self.members[0].column(rows, node_class.DISAGREEMENT)
        return np.concatenate([self.answers(piece)[1] for piece in self.pieces(rows)])

    def answers(self, rows: Rows) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Class probabilities ``[n, C]`` and disagreement ``[n]`` of computed rows.

        The disagreement of a single student is what this student expects, that of a group what it is.
        """
        if self.combination is None:
            answers = self.members[0].answers(rows)
            return answers[:, node_class.CLASSES], answers[:, node_class.DISAGREEMENT]
        members = self._by_member(rows)
        return self.combination.probabilities(members), self.combination.disagreement(members)

    def pieces(self, rows: Rows) -> Iterator[Rows]:
        """The rows so many at once that their answers are not too many numbers; one piece at least."""
        most = max(1, CELLS // (len(self.members) * self.classes))
        for first in range(0, max(1, len(rows)), most):
            yield rows[first : first + most]

    def broken(self, graph: DynamicGraph) -> int:
        """How many nodes have probabilities that are no numbers."""
        if all(member.is_finite for member in self.members):
            return 0
        pieces = self.pieces(np.flatnonzero(graph.alive))
        return sum(int(np.count_nonzero(~np.isfinite(self.probabilities(piece)).all(axis=1))) for piece in pieces)

    def state(self, rows: int | None = None) -> dict[str, Tensor]:
        """Tensors for a checkpoint: weights, layers, marks and place. Those in use, not copies of them.

        Args:
            rows: from there on no row was ever used.
        """
        self._reserve(rows or 0)
        own = [member.state(rows) for member in self.members]
        tensors = own[0] if len(own) == 1 else join_parts({_part(place): part for place, part in enumerate(own)})
        if self.forest:
            tensors |= join_parts({FOREST: self.forest.state(rows)})
        if self.linear:
            tensors |= join_parts({LINEAR: self.linear.state(rows)})
        tensors |= self._marks.state(rows)
        tensors |= {"in_weight": self._in_weight[:rows], "place": torch.tensor(self._place)}
        return {name: tensor.detach() for name, tensor in tensors.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the tensors of :meth:`state`."""
        for place, member in enumerate(self.members):
            member.restore(tensors if len(self.members) == 1 else take_part(tensors, _part(place)))
        if self.forest:
            self.forest.restore(take_part(tensors, FOREST))
        if self.linear:
            self.linear.restore(take_part(tensors, LINEAR))
        self._marks.restore(tensors)
        self._hubs = HubRows(self.members, self._marks, self._beside)
        self._in_weight = tensors["in_weight"].to(self._device, copy=True)
        self._begin()
        self._place = _Place(*tensors["place"].tolist())

    def check_graph(self, graph: DynamicGraph) -> None:
        """See that the members that are no students can follow a graph.

        Raises:
            ValueError: one is of other features, or of more classes.
        """
        if self.forest:
            self.forest.forest.check_graph(graph)
        if self.linear:
            check_model(self.linear.model, graph)

    def _allocate(self) -> None:
        for member in self.members:
            member.allocate()
        for other in self._beside:
            other.allocate()
        self._marks = Marks(self._last)
        self._hubs = HubRows(self.members, self._marks, self._beside)
        self._left_hubs, self._hub_answers = {}, []
        self._in_weight = torch.zeros(0, device=self._device)
        self._begin()
        self._place = _Place(0, 0)

    def _begin(self) -> None:
        for member in self.members:
            member.begin(self._in_weight)

    def _by_member(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Class probabilities ``[n, G, C]`` of computed rows."""
        students = np.stack([member.probabilities(rows) for member in self.members], axis=1)
        return _beside(students, [other.probabilities(rows) for other in self._beside])

    def _compute(self, graph: DynamicGraph, layer: int, rows: Rows) -> Computed:
        """Compute the marked ones of these rows of a layer, after what is marked beneath them."""
        due = self._marks.take(layer, rows)
        if layer == self._last:
            self._hubs.drop(due)
        plan = []
        for number in range(layer, 0, -1):
            near = graph.in_neighbours(due)
            plan.append((number, due, near))
            if number > 1:
                due = self._marks.take(number - 1, np.concatenate([near.index, due]))
        work = 0
        with torch.no_grad():
            for number, needed, near in reversed(plan):
                work += self._cost * (len(needed) + len(near.index) // EDGES_PER_ROW)
                for piece, around in _pieces(needed, near):
                    for member in self.members:
                        member.compute(graph, number, piece, around)
                    self._compute_beside(graph, number, piece, around)
        return Computed(plan[0][1], work)

    def _compute_beside(self, graph: DynamicGraph, layer: int, rows: Rows, near: Neighbours) -> None:
        """Compute what the other members have of rows of a layer."""
        if self.linear and layer == self._last - 1:
            self.linear.compute_shares(graph, rows, near)
        if layer == self._last:
            nodes = Tables(graph, rows)
            if self.forest:
                self.forest.compute(nodes)
            if self.linear:
                self.linear.compute(nodes, near)

    def _advance_left_hubs(self, graph: DynamicGraph, origin: Origin, most_work: int) -> Computed:
        """Compute a slice of the hubs that the passes have left out; whole where that has become the faster way."""
        rows = np.array([next(iter(self._left_hubs))])
        if self.hub is None and not len(self._hubs.stale(graph, rows[graph.alive[rows]])):
            del self._left_hubs[int(rows[0])]
            return self._compute(graph, self._last, rows[graph.alive[rows]])
        work, answer = self.advance_hub(graph, int(rows[0]), origin, most_work)
        if answer is not None:
            self._left_hubs.pop(answer.row, None)
            self._hub_answers.append(answer)
        return Computed(rows[:0], work)

    def _next_rows(self, graph: DynamicGraph, most: int) -> Rows:
        """The next rows of the pass that are not computed, as many as that much work is; moves on behind them."""
        layer, row = self._place
        most = max(1, most // self._cost)
        end = min(row + max(most, SCANNED), graph.capacity)
        rows: Rows = np.flatnonzero(graph.alive[row:end]) + row
        if layer > 0:
            rows = rows[self._marks.marked(min(layer, self._last))[rows] > 0]
        rows = rows[:most]
        work = np.cumsum(1 + graph.in_degree(rows) // EDGES_PER_ROW) if layer > 0 else np.arange(1, len(rows) + 1)
        count = max(1, int(np.searchsorted(work, most, side="right")))
        if count < len(rows):
            rows, end = rows[:count], int(rows[count])
        elif len(rows) == most:
            end = int(rows[-1]) + 1
        self._place = _Place(layer, end) if end < graph.capacity else _Place(layer + 1, 0)
        return rows

    def _reweigh(self, graph: DynamicGraph, rows: Rows) -> Rows:
        """Follow the sums of the weights of incoming edges of rows; the rows for which it is another."""
        index = to_device(rows, self._device)
        before, weight = self._in_weight[index], in_weight(graph, rows, self._device)
        self._in_weight[index] = weight
        for member in self.members:
            member.reweigh(rows, self._in_weight)
        other: Rows = rows[(before != weight).cpu().numpy()]
        return other

    def _renew_inputs(self, graph: DynamicGraph, touch: Touch, reweighted: Rows) -> Rows:
        """Compute the rows of layer 0 whose inputs changed; those that hold other values now."""
        due = [touch.features, touch.labels]
        if self._feature_width == 0:  # The degree is the input.
            due.append(reweighted)
        if any(student.remembers for student in self.students):
            due.append(touch.remembered)
        if columns := self._columns_read:
            due.append(touch.stepped_in(columns, graph))
        rows = graph.distinct(np.concatenate(due))
        changed = self._write_inputs(graph, rows)
        # The others read what students may pass over, such as the class that came after them.
        return rows if self._beside else rows[changed]

    def _write_inputs(self, graph: DynamicGraph, rows: Rows) -> npt.NDArray[np.bool_]:
        """Compute rows of layer 0; bool ``[n]``, whether they held other values for any member."""
        changed = [np.empty(0, np.bool_)]
        for start in range(0, len(rows), PIECE):
            piece = rows[start : start + PIECE]
            given = inputs(graph, piece, self._feature_width, self._device)
            changed.append(np.any([member.write_inputs(piece, given) for member in self.members], axis=0))
        return np.concatenate(changed)

    @property
    def _keeps_answers(self) -> bool:
        """Whether answers stand in a layer as they are."""
        return self.combination is None and not self.members[0].keeps_embeddings

    @property
    def _cost(self) -> int:
        """How many members compute a row."""
        return len(self.members) + len(self._beside)

    @property
    def _beside(self) -> tuple[ServedForest | ServedLinear, ...]:
        """The members that are no students."""
        return tuple(other for other in (self.forest, self.linear) if other is not None)

    @property
    def _columns_read(self) -> int:
        """The columns of the structure that some member reads, bit ``k`` standing for column ``k``."""
        return functools.reduce(operator.or_, (student.encoder.columns_read for student in self.students))

    @property
    def _feature_width(self) -> int:
        return self.members[0].student.feature_width

    def _reserve(self, rows: int) -> None:
        """Lengthen all tables to so many rows."""
        if rows <= len(self._in_weight):
            return
        self._in_weight = lengthened(self._in_weight, rows)
        self._marks.fit(rows)
        self._hubs.fit(rows)
        for member in self.members:
            member.reserve(rows, self._in_weight)
        for other in self._beside:
            other.reserve(rows)


def _beside(students: npt.NDArray[np.float32], others: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """The predictions of the students ``[n, G, C]`` with those of others, each ``[n, C]``, behind them."""
    return np.concatenate([students, *(other[:, None] for other in others)], axis=1) if others else students


def _part(place: int) -> str:
    """Name of a member's part of the state, where there are several."""
    return f"member/{place}"


def _pieces(rows: Rows, near: Neighbours) -> Iterator[tuple[Rows, Neighbours]]:
    """The rows so many at once, each with their neighbours."""
    for start in range(0, len(rows), PIECE):
        piece = rows[start : start + PIECE]
        yield piece, near.of(start, len(piece))
