"""Inputs of a student: features, known labels, hidden states and structure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from olad_core.config import STRUCTURE_STEPS
from olad_core.messages.block import Block
from olad_core.messages.sparse_features import Features


class StructureSteps:
    """The structure of n nodes, in steps (:class:`olad_core.graph.structure.Structure`).

    Args:
        steps: uint8 ``[n, 6]``.
        blocks: what :meth:`block` returns, as far as it is known already.
    """

    def __init__(self, steps: Tensor, blocks: Mapping[tuple[int, ...], Block] | None = None) -> None:
        self.steps = steps
        self._blocks = dict(blocks or {})

    def block(self, columns: tuple[int, ...]) -> Block:
        """Edges from the step of each column that is not 0 to its node, for :func:`~olad_core.messages.aggregate`.

        Step ``s`` of column ``k`` is source ``48 k + s``. Students that read the same columns share one block.
        """
        if columns not in self._blocks:
            self._blocks[columns] = _to_block(self.steps, columns)
        return self._blocks[columns]

    def map(self, change: Callable[[str, Block | Tensor], Any]) -> StructureSteps:
        """The same with another tensor of steps and other blocks, as far as these are known, each changed by name."""
        blocks = {columns: change(f"block {columns}", block) for columns, block in self._blocks.items()}
        return StructureSteps(change("steps", self.steps), blocks)


def _to_block(steps: Tensor, columns: Sequence[int]) -> Block:
    read = steps[:, list(columns)]
    row, place = read.nonzero(as_tuple=True)
    first = torch.tensor([STRUCTURE_STEPS * column for column in columns], device=steps.device)
    return Block(
        targets=torch.arange(len(steps), device=steps.device),
        sources=first[place] + read[row, place],
        offsets=torch.cat([row.new_zeros(1), (read > 0).sum(dim=1).cumsum(0)]),
        weight=torch.ones(len(row), device=steps.device),
        in_weight=torch.zeros(len(steps), device=steps.device),
    )


@dataclass(frozen=True)
class Inputs:
    """Inputs of n nodes.

    Known labels are inputs, so that the labels of its neighbours help to classify a node ("Masked Label Prediction",
    Shi et al. 2021). The label of a node that is being predicted must be hidden. Otherwise students learn to copy it.

    Attributes:
        x: features ``[n, F]``.
        label: int64 ``[n]``, the class; -1 where it is unknown or hidden.
        memory: ``[n, width]``, hidden states, for a recurrent student; None for zeros.
        structure: what the edges of the nodes come to; None where that is not known.
    """

    x: Features
    label: Tensor
    memory: Tensor | None = None
    structure: StructureSteps | None = None
