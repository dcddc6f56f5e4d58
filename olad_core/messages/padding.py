"""Samples of few shapes: padded with rows and edges that the seeds' embeddings do not depend on.

Rows that pad stand after the others of their layer, and edges that pad lead from such rows to such rows alone. So the
rows of all others, and their gradients, are what they would be without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from olad_core.config import STRUCTURE_STEPS
from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs, StructureSteps
from olad_core.messages.sample import Sample
from olad_core.messages.sparse_features import Features, SparseRows

Rows = npt.NDArray[np.int64]

EDGES_A_ROW = 16
"""About so many padding edges has a padding row, at most: a device sums up the edges of one row one after the other."""
ENTRY_BITS = 4
"""Significant bits of the number of feature entries, of which there may be many; all other numbers have one."""


def size_class(count: int, bits: int = 1) -> int:
    """The least number that is not below ``count`` and has so many significant bits.

    >>> [size_class(count) for count in (0, 1, 5, 8, 9)]
    [1, 1, 8, 8, 16]
    >>> size_class(1025, bits=4)
    1152
    """
    unit = 1 << max(0, max(count - 1, 0).bit_length() - bits)
    return max(1, -(-count // unit) * unit)


@dataclass(frozen=True)
class _Layer:
    """The rows of a layer.

    Attributes:
        place: int64 ``[n]``, where each row is among the padded ones.
        tail: the first of the rows that pad at the end; there is at least one.
        rows: how many there are with those that pad.
    """

    place: Tensor
    tail: int
    rows: int

    def spread(self, count: int) -> Tensor:
        """So many of the rows at the end, in turn."""
        return self.tail + torch.arange(count) % (self.rows - self.tail)


def pad_sample(drawn: Sample, columns: tuple[int, ...]) -> Sample:
    """The same sample with numbers of rows and edges of few sizes.

    Args:
        drawn: on a CPU.
        columns: of the structure that students read.

    Returns:
        A sample whose seeds are the first ones, in the same order, and then rows that pad. Their rows are on a CPU, and
        no graph rows belong to them.
    """
    blocks = drawn.blocks[::-1]
    edges = [size_class(len(block.sources)) for block in blocks]
    unused = [padded - len(block.sources) for padded, block in zip(edges, blocks, strict=True)]
    counts = [block.num_targets for block in blocks] + [len(drawn.inputs.label)]
    layers = _layers(counts, unused)
    padded = [
        _pad_block(block, targets, sources, count)
        for block, targets, sources, count in zip(blocks, layers[:-1], layers[1:], edges, strict=True)
    ]
    return Sample(np.empty(0, np.int64), _pad_inputs(drawn.inputs, layers[-1], columns), tuple(padded[::-1]))


def _layers(counts: Sequence[int], unused: Sequence[int]) -> list[_Layer]:
    """The rows of each layer, the seeds first: those of the layer before, and then its own."""
    layers = [_Layer(torch.empty(0, dtype=torch.int64), 0, 0)]
    for count, incoming, outgoing in zip(counts, [*unused, 0], [0, *unused], strict=True):
        before = layers[-1]
        own = before.rows + torch.arange(count - len(before.place))
        tail = before.rows + len(own)
        padding = 1 + max(incoming, outgoing) // EDGES_A_ROW
        layers.append(_Layer(torch.cat([before.place, own]), tail, size_class(tail + padding)))
    return layers[1:]


def _pad_block(block: Block, targets: _Layer, sources: _Layer, edges: int) -> Block:
    unused = edges - len(block.sources)
    in_weight = torch.ones(sources.rows)
    in_weight[sources.place] = block.in_weight
    return Block(
        targets=torch.arange(targets.rows),
        sources=torch.cat([sources.place[block.sources], sources.spread(unused)]),
        offsets=_pad_offsets(block.offsets, targets, unused),
        weight=F.pad(block.weight, (0, unused), value=1.0),
        in_weight=in_weight,
        leading=True,
        by_relation=None if block.by_relation is None else _pad_offsets(block.by_relation, targets, unused),
        x=None if block.x is None else F.pad(block.x, (0, 0, 0, unused)),
    )


def _pad_offsets(offsets: Tensor, targets: _Layer, unused: int) -> Tensor:
    """Where the edges of each target, or of each target and type, begin; those that pad are of the first type."""
    types = (len(offsets) - 1) // len(targets.place)
    counts = torch.zeros(targets.rows, types, dtype=torch.int64)
    counts[targets.place] = offsets.diff().view(-1, types)
    counts[:, 0] += torch.bincount(targets.spread(unused), minlength=targets.rows)
    return F.pad(counts.flatten().cumsum(0), (1, 0))


def _pad_inputs(inputs: Inputs, rows: _Layer, columns: tuple[int, ...]) -> Inputs:
    label = torch.full((rows.rows,), -1)
    label[rows.place] = inputs.label
    structure = None
    if inputs.structure is not None:
        steps = torch.zeros(rows.rows, inputs.structure.steps.shape[1], dtype=torch.uint8)
        steps[rows.place] = inputs.structure.steps
        structure = StructureSteps(steps[:0], {columns: _whole_block(steps, columns)})
    return Inputs(_pad_features(inputs.x, rows), label, structure=structure)


def _pad_features(x: Features, rows: _Layer) -> Features:
    if isinstance(x, SparseRows):
        return SparseRows(x.width, _pad_entries(x.entries, x.width, rows))
    padded = torch.zeros(rows.rows, x.shape[1])
    padded[rows.place] = x
    return padded


def _pad_entries(entries: Block, width: int, rows: _Layer) -> Block:
    count = size_class(len(entries.sources), ENTRY_BITS)
    unused = count - len(entries.sources)
    return Block(
        targets=torch.arange(rows.rows),
        sources=torch.cat([entries.sources, torch.arange(unused) % width]),
        offsets=_pad_offsets(entries.offsets, rows, unused),
        weight=F.pad(entries.weight, (0, unused)),
        in_weight=torch.zeros(width),
    )


def _whole_block(steps: Tensor, columns: tuple[int, ...]) -> Block:
    """As :meth:`StructureSteps.block`, but with an edge from each column, of weight zero where the step is 0."""
    read = steps[:, list(columns)].to(torch.int64)
    first = STRUCTURE_STEPS * torch.tensor(columns, dtype=torch.int64)
    return Block(
        targets=torch.arange(len(steps)),
        sources=(first + read).flatten(),
        offsets=torch.arange(len(steps) + 1) * len(columns),
        weight=(read > 0).to(torch.float32).flatten(),
        in_weight=torch.zeros(len(steps)),
    )
