"""Sampled neighbourhoods of bounded size, for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.device import to_device
from olad_core.graph import DynamicGraph, Neighbours
from olad_core.graph.features import Entries
from olad_core.graph.typed_features import TypedFeatures
from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs, StructureSteps
from olad_core.messages.sparse_features import Features, SparseRows

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Inputs and blocks that lead to the embeddings of the seeds.

    Attributes:
        rows: the outermost rows, the seeds first.
        inputs: of these; the labels of the seeds are hidden.
        blocks: one for each layer, first layer first; the last one's targets are the seeds.
    """

    rows: Rows
    inputs: Inputs
    blocks: tuple[Block, ...]

    @property
    def num_seeds(self) -> int:
        """How many seeds there are."""
        return self.blocks[-1].num_targets

    def among_seeds(self, others: Tensor | None = None) -> Block:
        """The sampled edges among the seeds, seeds being sources and targets; weights of a seed sum to one.

        Args:
            others: int64 ``[m]``, places in ``rows`` of seeds of other ranks: sources too, behind the seeds.
        """
        block = self.blocks[-1]
        kept = block.targets if others is None else torch.cat([block.targets, others])
        place = torch.full((len(self.rows),), -1, device=kept.device)
        place[kept] = torch.arange(len(kept), device=kept.device)
        sources = place[block.sources]
        among = sources >= 0
        target = block.target_of_edge[among]
        counts = torch.bincount(target, minlength=block.num_targets)
        return Block(
            targets=block.targets,
            sources=sources[among],
            offsets=torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
            weight=counts.to(block.weight.dtype).reciprocal()[target],
            in_weight=block.in_weight[kept],
            leading=True,
        )


def sample(
    graph: DynamicGraph,
    seeds: Rows,
    fanouts: Sequence[int],
    feature_width: int,
    random: np.random.Generator,
    device: torch.device,
) -> Sample:
    """Sample up to ``fanouts[k]`` in-neighbours of every row that layer ``k + 1`` needs.

    Args:
        graph: the live graph.
        seeds: distinct rows.
        fanouts: first layer first.
        feature_width: width of the students' features.
        random: source of the sampling seed.
        device: where the tensors go.
    """
    rows = seeds
    blocks = []
    for fanout in reversed(fanouts):
        near = graph.sample_in_neighbours(rows, fanout, int(random.integers(2**63)))
        counts = np.diff(near.groups)
        left_out = graph.in_degrees(rows).ravel() / np.maximum(counts, 1)
        scaled = to_float32(np.repeat(left_out, counts) * near.weight)
        block, rows = to_block(graph, rows, replace(near, weight=scaled), device)
        blocks.append(block)
    given = inputs(graph, rows, feature_width, device)
    given.label[: len(seeds)] = -1
    return Sample(rows, given, tuple(reversed(blocks)))


def to_block(graph: DynamicGraph, targets: Rows, near: Neighbours, device: torch.device) -> tuple[Block, Rows]:
    """A block for distinct target rows and their neighbours, and the graph rows of its sources, targets first."""
    rows, sources = graph.localised(targets, near.index)
    block = Block(
        targets=torch.arange(len(targets), device=device),
        sources=to_device(sources, device),
        offsets=to_device(near.indptr, device),
        weight=to_device(near.weight, device),
        in_weight=in_weight(graph, rows, device),
        leading=True,
        by_relation=None if near.by_relation is None else to_device(near.by_relation, device),
        x=None if near.x is None else to_device(near.x, device),
    )
    return block, rows


def in_weight(graph: DynamicGraph, rows: Rows, device: torch.device) -> Tensor:
    """float32 ``[n]``: sums of the weights of the rows' incoming edges."""
    return to_device(to_float32(graph.in_weight_of(rows)), device)


def to_float32(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Sums of weights may be greater than any float32; an infinite one would make its neighbours' rows NaN."""
    return np.minimum(values, np.finfo(np.float32).max).astype(np.float32)


def inputs(graph: DynamicGraph, rows: Rows, feature_width: int, device: torch.device) -> Inputs:
    """Features, labels and structure of graph rows."""
    label = to_device(graph.label[rows].astype(np.int64), device)
    steps = StructureSteps(to_device(graph.structure.steps[rows], device))
    return Inputs(features(graph, rows, feature_width, device), label, structure=steps)


def features(graph: DynamicGraph, rows: Rows, width: int, device: torch.device) -> Features:
    """Features ``[n, width]`` of graph rows; for students without features (width 0), the logarithm of the degree.

    Where the width was declared again and no features of it have arrived, the features are zeros.
    """
    if width == 0:
        return in_weight(graph, rows, device).log1p().unsqueeze(1)
    if width == graph.num_features:
        found = graph.features.gather(rows)
    elif isinstance(graph.features, TypedFeatures) and width < graph.features.width:
        # Types were declared since: their columns come after those that are known.
        found = graph.features.gather(rows).first_columns(width)
    else:
        found = Entries(np.zeros(len(rows) + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    return sparse_rows(found, width, device) if isinstance(found, Entries) else to_device(found, device)


def sparse_rows(found: Entries, width: int, device: torch.device) -> SparseRows:
    """Entries of features ``[n, width]`` as students read them."""
    entries = Block(
        targets=torch.arange(found.indptr.size - 1, device=device),
        sources=to_device(found.column, device),
        offsets=to_device(found.indptr, device),
        weight=to_device(found.value, device),
        in_weight=torch.zeros(width, device=device),
    )
    return SparseRows(width, entries)
