"""The small interface behind which every member of the group stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from olad_core.students.block import Block
from olad_core.students.sparse import Features

Drop: TypeAlias = Callable[[Tensor], Tensor]
"""Sets some entries of a tensor to zero and scales up the others."""


class Student(nn.Module, ABC):
    """A graph neural network in layers, each of which can be computed for any set of rows.

    A student maps features to rows of a *layer 0* (:meth:`encode`), then layer by layer to an embedding of
    ``width`` (:meth:`layer`), then to logits (:meth:`classify`). Nothing else may flow between nodes: that is
    what lets inference recompute the touched rows alone and still be exact.

    Args:
        feature_width: number of features of a node; 0 for a graph without features.
        width: width of the embedding.
        class_capacity: number of logits; classes beyond those in use are ignored by the caller.
    """

    architecture: ClassVar[str]
    uses_degree: ClassVar[bool]
    """Whether a message depends on the degree of the node that sends it."""
    num_layers: ClassVar[int] = 2

    mean_square: Tensor

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__()
        self.feature_width = feature_width
        self.width = width
        self.head = nn.Linear(width, class_capacity)
        self.register_buffer("mean_square", torch.ones(()))

    @abstractmethod
    def encode(self, x: Features, factor: Tensor) -> Tensor:
        """Layer 0 of ``[N, F]`` features: ``[N, layer_widths[0]]``.

        Args:
            x: features.
            factor: what each column is multiplied by, ``[F]``, or one number for all.
        """

    @abstractmethod
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        """Rows of layer ``number`` (1 to ``num_layers``) for the block's targets, from rows of the layer below."""

    @property
    @abstractmethod
    def layer_widths(self) -> tuple[int, ...]:
        """Widths of layer 0 to layer ``num_layers``; the last is ``width``."""

    @property
    def scale(self) -> Tensor:
        """What brings features to the scale the weights were initialised for: a mean square of one."""
        return self.mean_square.rsqrt()

    def classify(self, embedding: Tensor) -> Tensor:
        """Logits ``[N, class_capacity]``."""
        logits: Tensor = self.head(embedding)
        return logits

    def forward(
        self, x: Features, blocks: Sequence[Block], kept: Tensor | None = None, drop: Drop | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits and embeddings of the last block's targets.

        Args:
            x: features of the first block's sources.
            blocks: one for each layer.
            kept: in training, a factor ``[F]`` of the features.
            drop: in training, applied to each layer's input.
        """
        rows = self.encode(x, self.scale if kept is None else self.scale * kept)
        for number, block in enumerate(blocks, start=1):
            rows = self.layer(number, rows if drop is None else drop(rows), block)
        return self.classify(rows), rows

    def advance(self) -> None:
        """One step of the student's own time; students without memory do nothing."""


def linear(source: int, target: int) -> nn.Linear:
    """A linear map with Glorot weights."""
    layer = nn.Linear(source, target)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
