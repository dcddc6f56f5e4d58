"""Predictions of one node with things taken away, many variants at once: each computes only what it changes.

A *copy* is a place of the neighbourhood as it is in one variant. Where a variant changes nothing beneath a place, it
reads the place itself. See ``docs/decisions/0042-what-if.md``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph import DynamicGraph, Neighbours
from olad_core.graph.part import PartTooLarge
from olad_core.graph.typed_features import TypedFeatures
from olad_core.linear.table import mean_shares, neighbour_shares
from olad_core.messages.inputs import Inputs, StructureSteps
from olad_core.messages.sample import inputs, to_float32
from olad_core.messages.sparse_features import Features, SparseRows
from olad_core.serving.combination import Combination
from olad_core.serving.embedding import CELLS, PIECE, Embedding
from olad_core.serving.neighbourhood import Neighbourhood
from olad_core.serving.served_member import ServedMember
from olad_core.trees.member import table_answers
from olad_core.trees.table import Around, averaged_features, table_around

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

CPU = torch.device("cpu")
MESSAGES = 8
"""Edges that variants read in the time in which one of the neighbourhood is found and read."""
_PAIRS = 2**24
"""Pairs of a variant and a place that there may be."""


@dataclass(frozen=True)
class Taken:
    """What variants take away of a neighbourhood.

    Attributes:
        count: of variants; the last one takes away all edges into the node.
        edges: for each variant places in ``near`` of up to two edges that it takes away, -1 for none: ``[count, 2]``.
        of_all: bool, which edges of ``near`` the last variant takes away.
        variant: of each place whose inputs or sums may be others in a variant, ``[n]``, each pair once.
        place: of the same, ``[n]``.
        fewer: what the place lacks of its sums over edges: in-degree, out-degree, in-weight, out-weight: ``[n, 4]``.
        label: bool ``[n]``, whether its label is taken away.
        features: bool ``[n]``, whether its features are.
    """

    count: int
    edges: Rows
    of_all: Bools
    variant: Rows
    place: Rows
    fewer: Floats
    label: Bools
    features: Bools


def variants(graph: DynamicGraph, embedding: Embedding, hood: Neighbourhood, taken: Taken, most: int) -> Varied:
    """Compute a node as it is and in each variant.

    Args:
        graph: the live graph.
        embedding: of the served version, whose rows of layer 0 are those of now.
        hood: of the node.
        taken: what the variants take away.
        most: edges that the variants may read.

    Raises:
        PartTooLarge: they read more.
    """
    sums = _sums(graph, hood, taken)
    first = hood.rows[np.concatenate([np.arange(hood.rows.size), taken.place])]
    members = [_alone(member, first) for member in embedding.members]
    in_weight = np.concatenate([graph.in_weight_of(hood.rows), sums[:, 2]])
    table = _Tables(graph, embedding, members, hood, first, in_weight)
    differs = table.write_inputs(_changed_inputs(graph, hood, taken, sums, embedding.student.feature_width))
    uses_degree = any(student.uses_degree for student in embedding.students)
    copies = _Copies.of(hood, taken, differs, most, uses_degree=uses_degree)
    table.extend(copies)
    for layer in range(1, hood.hops + 1):
        table.compute_layer(layer, copies)
    rows = np.concatenate([[0], hood.rows.size + copies.due[-1]])
    by_others = _by_others(graph, embedding, hood, taken, copies, sums)
    return Varied(members, embedding.combination, rows, by_others)


def _by_others(
    graph: DynamicGraph, embedding: Embedding, hood: Neighbourhood, taken: Taken, copies: _Copies, sums: Floats
) -> list[npt.NDArray[np.float32]]:
    """What members that are no students predict of the node and of its copies: ``[1 + count, C]`` each."""
    found: list[npt.NDArray[np.float32]] = []

    def table(features: int) -> tuple[Around, npt.NDArray[np.float32]]:
        around = _around(graph, hood, taken, copies, sums, averaged=averaged_features(features) > 0)
        return around, table_around(around, features, len(graph.classes))

    if embedding.forest:
        forest = embedding.forest.forest
        found.append(table_answers(forest, table(forest.features)[1], embedding.classes))
    if embedding.linear:
        around, shown = table(int(embedding.linear.model.features[0]))
        far = mean_shares(around.near, _shares(hood, copies, around, len(graph.classes)))
        found.append(embedding.linear.of_table(shown, far))
    return found


def _shares(hood: Neighbourhood, copies: _Copies, around: Around, classes: int) -> npt.NDArray[np.float32]:
    """Shares of classes among the neighbours of places and copies ``[m, C]``; zeros where nobody reads them."""
    places, inner = hood.rows.size, hood.within[1]
    found = np.zeros((places + copies.place.size, classes), np.float32)
    found[:inner] = neighbour_shares(hood.near.of(0, inner), around.label, classes)
    inside = np.flatnonzero(copies.place < inner)
    found[places + inside] = found[copies.place[inside]]
    # The layer before the last.
    found[places + copies.due[-2]] = neighbour_shares(copies.near[-2], around.label, classes)
    return found


@dataclass(frozen=True)
class Varied:
    """A node as it is, number 0, and in each variant, from 1 on.

    Attributes:
        members: with these rows.
        combination: of their answers; None where there is only one.
        rows: of each number.
        by_others: class probabilities by members that are no students, ``[1 + count, C]`` each.
    """

    members: Sequence[ServedMember]
    combination: Combination | None
    rows: Rows
    by_others: Sequence[npt.NDArray[np.float32]]

    def probabilities(self, numbers: Rows) -> npt.NDArray[np.float32]:
        """Class probabilities ``[n, C]``."""
        rows = self.rows[numbers]
        if self.combination is None:
            return self.members[0].probabilities(rows)
        of_members = [member.probabilities(rows) for member in self.members]
        of_members += [other[numbers] for other in self.by_others]
        return self.combination.probabilities(np.stack(of_members, axis=1))

    def probability_of(self, number: int) -> Floats:
        """Probability of one class for all numbers, ``[1 + count]``."""
        at_once = max(1, CELLS // (len(self.members) * self.members[0].classes))
        every = np.arange(len(self.rows))
        pieces = [every[first : first + at_once] for first in range(0, len(every), at_once)]
        return np.concatenate([self.probabilities(piece)[:, number] for piece in pieces]).astype(np.float64)


def _alone(member: ServedMember, rows: Rows) -> ServedMember:
    """The member without rows, on the CPU: as few rows as these are not worth a transfer each layer.

    Args:
        member: of the live graph.
        rows: of the graph, whose hidden states its first rows have.
    """

    def recall(places: Rows) -> Tensor | None:
        states = member.recall(rows[places])
        return None if states is None else states.to(CPU)

    student = member.student
    if next(student.parameters()).device != CPU:
        student = copy.deepcopy(student).to(CPU)
    return ServedMember(student, member.classes, CPU, recall)


def _sums(graph: DynamicGraph, hood: Neighbourhood, taken: Taken) -> Floats:
    """Sums over the edges of the changed places, in the order of ``taken.fewer``; zeros where no edge is left."""
    sums = graph.sums_of(hood.rows[taken.place]) - taken.fewer
    for degree, weight in ((0, 2), (1, 3)):
        sums[sums[:, degree] <= 0, weight] = 0
    return sums


def _changed_inputs(graph: DynamicGraph, hood: Neighbourhood, taken: Taken, sums: Floats, width: int) -> Inputs:
    """Inputs of the changed places, without what is taken away."""
    rows = hood.rows[taken.place]
    given = inputs(graph, rows, width, CPU)
    label = torch.where(torch.from_numpy(taken.label), -1, given.label)
    if width == 0:
        x: Features = torch.from_numpy(to_float32(sums[:, 2])).log1p().unsqueeze(1)
    else:
        x = _without(graph, given.x, taken.features)
    steps = graph.steps_of(rows, sums)
    return replace(given, x=x, label=label, structure=StructureSteps(torch.from_numpy(steps)))


def _without(graph: DynamicGraph, x: Features, away: Bools) -> Features:
    """Features with zeros in some rows; the column that shows a node's type stays."""
    hidden = torch.from_numpy(away)
    if not isinstance(x, SparseRows):
        return torch.where(hidden.unsqueeze(1), 0.0, x)
    gone = hidden[x.entries.target_of_edge]
    if isinstance(graph.features, TypedFeatures):
        gone &= ~torch.isin(x.entries.sources, torch.from_numpy(graph.features.first))
    return SparseRows(x.width, replace(x.entries, weight=torch.where(gone, 0.0, x.entries.weight)))


def _around(
    graph: DynamicGraph, hood: Neighbourhood, taken: Taken, copies: _Copies, sums: Floats, *, averaged: bool
) -> Around:
    """What trees read of the node, then of its copy in each variant."""
    live = hood.rows[np.concatenate([np.arange(hood.rows.size), copies.place])]
    first = np.arange(hood.rows.size, hood.rows.size + taken.place.size)
    label, degree, hidden = graph.label[live], graph.in_degree(live), np.zeros(live.size, np.bool_)
    label[first[taken.label]] = -1
    degree[first] = sums[:, 0]
    hidden[first] = taken.features
    rows = np.concatenate([[0], hood.rows.size + copies.due[-1]])
    own, near = hood.near.of(0, 1), copies.near[-1]
    near = Neighbours(
        np.concatenate([[0], own.indptr[-1] + near.indptr]),
        np.concatenate([own.index, near.index]),
        np.concatenate([own.weight, near.weight]),
    )

    def features(numbers: Rows) -> tuple[npt.NDArray[np.float32], Bools]:
        found = graph.features.dense(live[numbers])
        away = np.flatnonzero(hidden[numbers])
        if isinstance(graph.features, TypedFeatures):
            shown = graph.features.first[:-1]
            kept = found[away[:, None], shown]
            found[away] = 0
            found[away[:, None], shown] = kept
        else:
            found[away] = 0
        return found, graph.features.has(live[numbers])

    return Around(
        rows,
        near,
        label,
        degree[near.index],
        features(rows),
        features(near.index) if averaged else None,
    )


@dataclass(frozen=True)
class _Copies:
    """The places that are others in some variant. Their rows come after those of the neighbourhood, in their order.

    Attributes:
        variant: of each copy.
        place: of each copy.
        number: of a copy by variant and place, -1 where the place itself is read: ``[count, places]``.
        due: for each layer from 1 on the copies that are computed in it.
        near: their in-neighbours, as rows, in the same order.
    """

    variant: Rows
    place: Rows
    number: Rows
    due: list[Rows]
    near: list[Neighbours]

    @classmethod
    def of(cls, hood: Neighbourhood, taken: Taken, differs: Bools, most: int, *, uses_degree: bool) -> _Copies:
        """Follow what the variants change, layer by layer.

        Args:
            hood: of the node.
            taken: what the variants take away.
            differs: which of the changed places have another row of layer 0.
            most: edges that may be read.
            uses_degree: whether what a place sends depends on its sum of weights.
        """
        places = hood.within[max(hood.hops - 1, 1)]
        if taken.count * places > _PAIRS:
            raise PartTooLarge(taken.count * places // MESSAGES, _PAIRS // MESSAGES)
        own = taken.variant * places + taken.place
        receiving = own[taken.fewer[:, 0] > 0]
        reweighed = own[taken.fewer[:, 2] > 0] if uses_degree else own[:0]
        changed, due = own[differs], []
        for layer in range(1, hood.hops):
            senders = np.concatenate([changed, reweighed])
            variant, reached = hood.receivers(senders // places, senders % places)
            found = np.concatenate([changed, receiving, variant * places + reached])
            changed = np.unique(found[found % places < hood.within[hood.hops - layer]])
            due.append(changed)
        due.append(np.arange(taken.count) * places)
        new = np.setdiff1d(np.concatenate(due), own)
        keys = np.concatenate([own, new])
        number = np.full(taken.count * places, -1, np.int64)
        number[keys] = np.arange(keys.size)
        numbers = number.reshape(taken.count, places)
        read = sum(int(np.diff(hood.near.indptr)[keys % places].sum()) for keys in due)
        if read > most:
            raise PartTooLarge(-(-read // MESSAGES), most // MESSAGES)
        near = [_near(hood, taken, numbers, keys // places, keys % places) for keys in due]
        return cls(keys // places, keys % places, numbers, [number[each] for each in due], near)


def _near(hood: Neighbourhood, taken: Taken, number: Rows, variant: Rows, place: Rows) -> Neighbours:
    """The in-neighbours of copies: copies of the same variant where there are some."""
    near, types = hood.near, hood.types
    groups = (place[:, None] * types + np.arange(types)).ravel()
    counts = np.diff(near.groups)[groups]
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    at = np.repeat(near.groups[groups], counts) + offset
    of = np.repeat(np.repeat(variant, types), counts)
    kept = (taken.edges[of, 0] != at) & (taken.edges[of, 1] != at) & ~((of == taken.count - 1) & taken.of_all[at])
    counts = np.bincount(np.repeat(np.arange(groups.size), counts)[kept], minlength=groups.size)
    at, of = at[kept], of[kept]
    index = near.index[at]
    inside = index < number.shape[1]
    copied = np.full(index.size, -1, np.int64)
    copied[inside] = number[of[inside], index[inside]]
    index = np.where(copied >= 0, hood.rows.size + copied, index)
    begins = np.concatenate([[0], np.cumsum(counts)])
    by_relation = None if near.by_relation is None else begins
    x = None if near.x is None else near.x[at]
    return Neighbours(begins[::types].copy(), index, near.weight[at], by_relation, x)


class _Tables:
    """Layers of all members for the places of a neighbourhood, and then for copies of them.

    Args:
        graph: the live graph.
        embedding: the live one.
        members: without rows.
        hood: of the node.
        rows: of the graph: of the places, then of the first copies.
        in_weight: of these rows.
    """

    def __init__(
        self,
        graph: DynamicGraph,
        embedding: Embedding,
        members: list[ServedMember],
        hood: Neighbourhood,
        rows: Rows,
        in_weight: Floats,
    ) -> None:
        self._graph, self._embedding, self._hood = graph, embedding, hood
        self._live = embedding.members
        self._members = members
        self._rows = rows
        self._in_weight = torch.from_numpy(to_float32(in_weight))

    def write_inputs(self, given: Inputs) -> Bools:
        """Write the first copies' rows of layer 0; which of them are others than those of their places."""
        count = len(self._rows)
        places = self._hood.rows.size
        copies = np.arange(places, count)
        differs = np.zeros(len(copies), np.bool_)
        for live, member in zip(self._live, self._members, strict=True):
            member.reserve(count, self._in_weight)
            member.begin(self._in_weight)
            member.layers[0][:] = live.layers[0][torch.from_numpy(self._rows).to(live.layers[0].device)].to(CPU)
            with torch.no_grad():
                differs |= member.write_inputs(copies, given)
        return differs

    def extend(self, copies: _Copies) -> None:
        """Add the copies that have the inputs of their places."""
        places = self._hood.rows.size
        more = copies.place[len(self._rows) - places :]
        self._in_weight = torch.cat([self._in_weight, self._in_weight[torch.from_numpy(more)]])
        for member in self._members:
            first = member.layers[0]
            member.reserve(places + copies.place.size, self._in_weight)
            member.begin(self._in_weight)
            member.layers[0][len(first) :] = first[torch.from_numpy(more)]

    def compute_layer(self, layer: int, copies: _Copies) -> None:
        """Compute a layer: of the places that the node reads, then of the copies that differ in it."""
        hood = self._hood
        places = hood.within[hood.hops - layer]
        own = torch.from_numpy(copies.place)
        inside = own < places
        rows = hood.rows.size + copies.due[layer - 1]
        with torch.no_grad():
            for member in self._members:
                self._compute(member, layer, np.arange(places), hood.near.of(0, places))
                values = member.layers[layer]
                values[hood.rows.size :][inside] = values[own[inside]]
                self._compute(member, layer, rows, copies.near[layer - 1])

    def _compute(self, member: ServedMember, layer: int, rows: Rows, near: Neighbours) -> None:
        for first in range(0, len(rows), PIECE):
            piece = rows[first : first + PIECE]
            member.compute(self._graph, layer, piece, near.of(first, len(piece)))
