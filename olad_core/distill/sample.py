"""Sampled neighbourhoods of bounded size, for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph import DynamicGraph
from olad_core.students.block import Block

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Features and blocks that lead to the embeddings of the seeds.

    Attributes:
        x: float32 ``[S, F]``, features of the outermost rows.
        blocks: one for each layer, first layer first; the last one's targets are the seeds.
    """

    x: Tensor
    blocks: tuple[Block, ...]

    def among_seeds(self) -> Block:
        """The sampled edges among the seeds, seeds being sources and targets."""
        block = self.blocks[-1]
        among = block.sources < block.num_targets
        counts = torch.bincount(block.target_of_edge[among], minlength=block.num_targets)
        return Block(
            targets=block.targets,
            sources=block.sources[among],
            offsets=torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
            weight=block.weight[among],
            target_degree=block.target_degree,
            source_degree=block.source_degree[among],
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
        feature_width: width of the features the students know of.
        random: source of the sampling seed.
        device: where the tensors go.
    """
    place = np.full(graph.capacity, -1, dtype=np.int64)
    rows = seeds
    place[rows] = np.arange(len(rows))
    blocks = []
    for fanout in reversed(fanouts):
        neighbours = graph.sample_in_neighbours(rows, fanout, int(random.integers(2**63)))
        counts = np.diff(neighbours.indptr)
        left_out = graph.in_degree(rows) / np.maximum(counts, 1)
        weight = _float32(np.repeat(left_out, counts) * neighbours.weight)
        new = np.unique(neighbours.index[place[neighbours.index] < 0]).astype(np.int64)
        place[new] = np.arange(len(rows), len(rows) + len(new))
        blocks.append(
            to_block(graph, rows, np.arange(len(rows)), neighbours.indptr, neighbours.index, place, weight, device)
        )
        rows = np.concatenate([rows, new])
    return Sample(x=features(graph, rows, feature_width, device), blocks=tuple(reversed(blocks)))


def to_block(
    graph: DynamicGraph,
    rows: Rows,
    targets: Rows,
    indptr: Rows,
    index: npt.NDArray[np.integer],
    place: Rows | None,
    weight: npt.NDArray[np.float32],
    device: torch.device,
) -> Block:
    """A block from neighbour lists of graph rows; ``place`` maps graph rows to source rows."""
    degree = graph.in_weight
    sources = (index if place is None else place[index]).astype(np.int64, copy=False)
    return Block(
        targets=torch.from_numpy(targets).to(device),
        sources=torch.from_numpy(sources).to(device),
        offsets=torch.from_numpy(indptr).to(device),
        weight=torch.from_numpy(weight).to(device),
        target_degree=torch.from_numpy(_float32(degree[rows] + 1)).to(device),
        source_degree=torch.from_numpy(_float32(degree[index] + 1)).to(device),
    )


def _float32(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Sums of weights may be greater than any float32; an infinite one would make its neighbours' rows NaN."""
    return np.minimum(values, np.finfo(np.float32).max).astype(np.float32)


def features(graph: DynamicGraph, rows: Rows, width: int, device: torch.device) -> Tensor:
    """Features ``[n, width]`` of graph rows; one column of zeros for students that know of none (width 0)."""
    if width == 0:
        return torch.zeros(len(rows), 1, device=device)
    return torch.from_numpy(graph.features[rows]).to(device)
