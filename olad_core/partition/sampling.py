"""Sampled neighbourhoods over partitions: owners draw the neighbours of their nodes, and send the inputs of them.

Nodes are named by their numbers. What is drawn depends on a key and on the graph, not on the number of ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.config import STRUCTURE
from olad_core.graph.arrays import Bools, Float32s, Int64s
from olad_core.graph.part import PartTooLarge
from olad_core.graph.relations import fanout_of_type
from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs, StructureSteps
from olad_core.messages.sample import Sample, to_float32
from olad_core.messages.sparse_features import Features
from olad_core.partition.exchange import Outgoing, Superstep, by_rank, to_all
from olad_core.partition.feature_rows import FeatureRows, joined
from olad_core.partition.keyed import key_of, lots
from olad_core.partition.store import PartitionStore

_EVERY = 1 << 62
"""A fanout that leaves no neighbour out."""
_INPUTS = np.dtype([("label", "<i4"), ("in_weight", "<f4"), ("steps", "u1", (len(STRUCTURE),)), ("length", "<i4")])
"""What the owner of a node sends, beside its features, of which it sends so many words."""


@dataclass(frozen=True)
class PartSample:
    """A sample of one rank's seeds.

    Attributes:
        sample: its rows are numbers of nodes.
        owner: of each of its rows.
        served: rows of this rank's nodes that any rank has asked for, each once.
    """

    sample: Sample
    owner: Int64s
    served: Int64s


class _Asked(NamedTuple):
    """Nodes of a piece of work by their owners.

    Attributes:
        own: rows of the owned ones.
        places: for each rank, where its nodes stand among all.
        received: for each rank, rows of the nodes that it asks for.
    """

    own: Int64s
    places: list[Int64s]
    received: list[Int64s]


class _Near(NamedTuple):
    """Drawn in-neighbours of n nodes.

    Attributes:
        offsets: int64 ``[n R + 1]``, where those of each node and type of edges begin.
        number: of each.
        owner: of each.
        weight: scaled up by the share of the neighbours that was left out.
        x: features of the edges.
    """

    offsets: Int64s
    number: Int64s
    owner: Int64s
    weight: Float32s
    x: Float32s


def sample_over_ranks(
    store: PartitionStore, seeds: Int64s, fanouts: Sequence[int], key: int, feature_width: int
) -> Superstep[PartSample]:
    """Sample up to ``fanouts[k]`` in-neighbours of every node that layer ``k + 1`` needs, together with other ranks.

    Args:
        store: this rank's part.
        seeds: rows of owned nodes, distinct. Their labels are hidden from all ranks.
        fanouts: first layer first.
        key: of what is drawn; the same at all ranks.
        feature_width: width of the students' features.
    """
    return (yield from _sample(store, seeds, fanouts, key, feature_width, seeds))


def whole_over_ranks(
    store: PartitionStore, rows: Int64s, layers: int, feature_width: int, most: int
) -> Superstep[PartSample]:
    """Everything that so many layers of some nodes read, together with other ranks; no label is hidden.

    Args:
        store: this rank's part.
        rows: of owned nodes, distinct.
        layers: how many there are.
        feature_width: width of the student's features.
        most: nodes and edges that all ranks together may read.

    Raises:
        PartTooLarge: it would be more, which all ranks find at once.
    """
    return (yield from _sample(store, rows, (_EVERY,) * layers, 0, feature_width, rows[:0], most))


def _sample(
    store: PartitionStore,
    seeds: Int64s,
    fanouts: Sequence[int],
    key: int,
    feature_width: int,
    hidden: Int64s,
    most: int | None = None,
) -> Superstep[PartSample]:
    """As above; the labels of the hidden rows of owned nodes are hidden."""
    read = 0
    numbers, owner = store.number[seeds], np.full(seeds.size, store.rank)
    found: list[tuple[_Near, Int64s, int]] = []
    for layer in reversed(range(len(fanouts))):
        asked = _Asked(seeds, [np.arange(seeds.size)], [])
        if layer < len(fanouts) - 1:
            asked = yield from _ask(store, f"nodes of layer {layer}", numbers, owner)
        if most is not None:
            read += yield from _to_be_read(store, asked)
            if read > most:
                raise PartTooLarge(read, most)
        near = yield from _neighbours(store, asked, numbers.size, fanouts[layer], key_of(key, layer))
        targets = numbers.size
        numbers, owner, sources = _with_sources(numbers, owner, near)
        found.append((near, sources, targets))
    asked = yield from _ask(store, "nodes of layer inputs", numbers, owner)
    given = yield from _inputs(store, asked, numbers.size, hidden, feature_width)
    many = len(store.graph.relations) > 1
    blocks = [
        _to_block(near, sources, targets, given.in_weight, many, store.graph.edge_feature_width)
        for near, sources, targets in reversed(found)
    ]
    served = np.unique(np.concatenate([asked.own, *asked.received]))
    return PartSample(Sample(numbers, given.inputs, tuple(blocks)), owner, served)


def _ask(store: PartitionStore, kind: str, numbers: Int64s, owner: Int64s) -> Superstep[_Asked]:
    """Name nodes to their owners."""
    places = [np.flatnonzero(owner == rank) for rank in range(store.ranks)]
    own = store.own_rows(numbers[places[store.rank]])
    other = owner != store.rank
    received = yield by_rank(kind, numbers[other], owner[other], store.ranks)
    return _Asked(own, places, [store.own_rows(each) for each in received])


def _to_be_read(store: PartitionStore, asked: _Asked) -> Superstep[int]:
    """Nodes that all ranks ask for, and edges that lead to them."""
    rows = np.concatenate([asked.own, *(each for other, each in enumerate(asked.received) if other != store.rank)])
    own = np.array([rows.size + store.graph.in_degree(rows).sum()], np.int64)
    received = yield to_all("nodes and edges to be read", own, store.rank, store.ranks)
    return int(own.sum()) + sum(int(each.sum()) for other, each in enumerate(received) if other != store.rank)


def _neighbours(store: PartitionStore, asked: _Asked, count: int, fanout: int, key: int) -> Superstep[_Near]:
    """The drawn in-neighbours of n nodes, from their owners."""
    parts = [draw_neighbours(store, asked.own, fanout, key)]
    places = [asked.places[-1]]
    if asked.received:
        drawn = [draw_neighbours(store, rows, fanout, key) for rows in asked.received]
        to = np.repeat(np.arange(store.ranks), [each.size for each in drawn])
        parts = list((yield by_rank("drawn neighbours", np.concatenate(drawn), to, store.ranks)))
        parts[store.rank] = draw_neighbours(store, asked.own, fanout, key)
        places = asked.places
    types = len(store.graph.relations)
    group = np.concatenate(
        [at[each["place"] // types] * types + each["place"] % types for at, each in zip(places, parts, strict=True)]
    )
    order = np.argsort(group, kind="stable")
    records = np.concatenate(parts)[order]
    offsets = np.zeros(count * types + 1, np.int64)
    np.cumsum(np.bincount(group, minlength=count * types), out=offsets[1:])
    return _Near(offsets, *(records[name].copy() for name in ("number", "owner", "weight", "x")))


def draw_neighbours(store: PartitionStore, rows: Int64s, fanout: int, key: int) -> npt.NDArray[Any]:
    """Up to ``fanout`` in-neighbours of owned rows, every such set with the same probability.

    Each neighbour has a random number for the row; those with the least ones are drawn.

    Returns:
        Records: ``place`` among the rows times the types of edges, plus the type; those of one place by number.
    """
    near = store.graph.in_neighbours(rows)
    types = len(store.graph.relations)
    degree = np.diff(near.groups)
    group = np.repeat(np.arange(degree.size), degree)
    number = store.number[near.index]
    lot = lots(key, store.number[rows][group // types], group % types, number)
    order = np.lexsort((lot, group))
    kept = np.arange(order.size) - near.groups[:-1][group] < fanout_of_type(fanout, types)
    chosen = order[kept]
    chosen = chosen[np.lexsort((number[chosen], group[chosen]))]
    group = group[chosen]
    share = degree / np.maximum(np.bincount(group, minlength=degree.size), 1)
    records = np.empty(chosen.size, _near_records(store.graph.edge_feature_width))
    records["place"], records["number"] = group, number[chosen]
    records["owner"] = store.owner[near.index[chosen]]
    records["weight"] = to_float32(share[group] * near.weight[chosen])
    records["x"] = 0 if near.x is None else near.x[chosen]
    return records


def _near_records(width: int) -> np.dtype[Any]:
    return np.dtype([("place", "<i4"), ("number", "<i8"), ("owner", "<i4"), ("weight", "<f4"), ("x", "<f4", (width,))])


def _with_sources(numbers: Int64s, owner: Int64s, near: _Near) -> tuple[Int64s, Int64s, Int64s]:
    """Targets and then other nodes by number, their owners, and which of them each neighbour is."""
    distinct, first = np.unique(near.number, return_index=True)
    new = ~np.isin(distinct, numbers)
    numbers = np.concatenate([numbers, distinct[new]])
    owner = np.concatenate([owner, near.owner[first[new]].astype(np.int64)])
    order = np.argsort(numbers)
    return numbers, owner, order[np.searchsorted(numbers[order], near.number)]


class _Given(NamedTuple):
    inputs: Inputs
    in_weight: Tensor


def _inputs(
    store: PartitionStore, asked: _Asked, count: int, hidden_rows: Int64s, feature_width: int
) -> Superstep[_Given]:
    """The inputs of n nodes, from their owners."""
    hidden = np.zeros(store.graph.capacity, np.bool_)
    hidden[hidden_rows] = True
    rows = [*asked.received]
    rows[store.rank] = asked.own
    features = [FeatureRows.of(store.graph, each, feature_width) for each in rows]
    records = [_records(store, each, hidden, x) for each, x in zip(rows, features, strict=True)]
    words = [x.words() for x in features]
    to = np.arange(store.ranks)
    received = list((yield _to_others("inputs of nodes", records, store.rank)))
    found = list((yield _to_others("features of nodes", words, store.rank)))
    received[store.rank], found[store.rank] = records[store.rank], words[store.rank]
    given = np.empty(count, _INPUTS)
    for rank in to:
        given[asked.places[rank]] = received[rank]
    in_weight = torch.from_numpy(given["in_weight"].copy())
    parts = [FeatureRows.read(found[rank], received[rank]["length"], feature_width) for rank in to]
    x: Features = in_weight.log1p().unsqueeze(1)
    if feature_width:
        x = joined(parts, asked.places).features(typed=bool(store.graph.node_types))
    label = torch.from_numpy(given["label"].astype(np.int64))
    steps = StructureSteps(torch.from_numpy(given["steps"].copy()))
    return _Given(Inputs(x, label, structure=steps), in_weight)


def _records(store: PartitionStore, rows: Int64s, hidden: Bools, x: FeatureRows) -> npt.NDArray[Any]:
    records = np.empty(rows.size, _INPUTS)
    records["label"] = np.where(hidden[rows], -1, store.graph.label[rows])
    records["in_weight"] = to_float32(store.graph.in_weight_of(rows))
    records["steps"] = store.graph.structure.steps[rows]
    records["length"] = x.lengths
    return records


def _to_others(kind: str, parts: Sequence[npt.NDArray[Any]], rank: int) -> Outgoing:
    return Outgoing(kind, [part[:0] if to == rank else part for to, part in enumerate(parts)])


def _to_block(near: _Near, sources: Int64s, targets: int, in_weight: Tensor, many: bool, width: int) -> Block:
    """A block of the drawn neighbours; of its sources the targets come first."""
    offsets = torch.from_numpy(near.offsets)
    types = (near.offsets.size - 1) // max(targets, 1)
    count = max(targets, int(sources.max(initial=-1)) + 1)
    return Block(
        targets=torch.arange(targets),
        sources=torch.from_numpy(sources),
        offsets=offsets[::types].clone() if many and targets else offsets[: targets + 1],
        weight=torch.from_numpy(near.weight),
        in_weight=in_weight[:count],
        leading=True,
        by_relation=offsets if many else None,
        x=torch.from_numpy(near.x) if width else None,
    )
