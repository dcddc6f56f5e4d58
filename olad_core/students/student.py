"""The interface of every member of the group."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs
from olad_core.students.encoder import Encoder
from olad_core.tasks import node_class

Drop: TypeAlias = Callable[[Tensor], Tensor]
"""Sets some entries of a tensor to zero and scales up the others."""


class Student(nn.Module, ABC):
    """A graph neural network in layers, each of which can be computed for any set of rows.

    A student maps features and known labels to rows of a *layer 0* (:meth:`encode`), then layer by layer to an
    embedding of ``width`` (:meth:`layer`), then to logits (:meth:`classify`). Nodes exchange nothing else.
    Inference can therefore recompute the touched rows alone and still be exact.

    Args:
        feature_width: number of features of a node; 0 for a graph without features.
        width: width of the embedding.
        class_capacity: number of logits; classes beyond those in use are ignored by the caller.
    """

    architecture: ClassVar[str]
    uses_degree: ClassVar[bool]
    """Whether a message depends on the degree of the node that sends it."""
    num_layers: ClassVar[int] = 2
    remembers: ClassVar[bool] = False
    """Whether it has a hidden state for each node, which comes with the inputs; see :meth:`remember`."""

    relations: int = 1
    """Types of edges that it distinguishes; see :meth:`relate`."""

    edge_width: int = 0
    """Features of an edge that it reads; see :meth:`read_edges`."""

    begun: bool = True
    """Whether it has taken a step of time, where its operations depend on that."""

    type_widths: tuple[int, ...] = ()
    """Widths of the features of each type of nodes, where nodes have types; see :meth:`distinguish`."""

    encoder: Encoder
    mean_square: Tensor
    temperature: Tensor

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__()
        self.feature_width = feature_width
        self.width = width
        self.head = node_class.new_head(width, class_capacity)
        self.relation_maps = nn.ModuleList()
        """For each layer what it makes of messages along edges of several types; none for a graph of one type."""
        self.edge_maps = nn.ModuleList()
        """For each layer what it makes of the features of edges; none where it reads none."""
        self.register_buffer("mean_square", torch.ones(()))
        self.register_buffer("temperature", torch.ones(()))

    @abstractmethod
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        """Layer 0 of N nodes: ``[N, layer_widths[0]]``.

        Args:
            inputs: of each node.
            factor: what each feature is multiplied by, ``[F]``, or one number for all.
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
        """Factor that brings the mean square of the features to one, for which the weights are initialised.

        Where nodes have types, each type has a factor of its own: ``[F]``. The column that shows a type stays.
        """
        if not self.type_widths:
            return self.mean_square.rsqrt()
        factors = self.mean_square.rsqrt()
        shown = torch.ones_like(factors[:1])
        parts = [(shown, factors[at : at + 1].expand(width)) for at, width in enumerate(self.type_widths)]
        return torch.cat([part for pair in parts for part in pair])

    def read(self, embedding: Tensor) -> Tensor:
        """Outputs of the head, ``[N, 1 + class_capacity]``, linear in the embeddings.

        The first column is the logit of the expected disagreement in the group. The others are the class logits.
        """
        outputs: Tensor = self.head(embedding)
        return outputs

    def classify(self, embedding: Tensor) -> Tensor:
        """Logits ``[N, class_capacity]`` of the classes."""
        return self.read(embedding)[:, node_class.CLASSES]

    def answers(self, outputs: Tensor) -> Tensor:
        """Served values ``[N, 1 + C]`` from the first columns of :meth:`read`: disagreement, then class probabilities.

        The logits of the classes are divided by ``temperature``, which is one while a student trains.
        """
        return node_class.answers(outputs, self.temperature)

    def disagreement_logits(self, embedding: Tensor) -> Tensor:
        """Logits ``[N]`` of the expected disagreement in the group."""
        return self.read(embedding)[:, node_class.DISAGREEMENT]

    def forward(self, inputs: Inputs, blocks: Sequence[Block]) -> tuple[Tensor, Tensor]:
        """Logits and embeddings of the last block's targets.

        Args:
            inputs: of the first block's sources.
            blocks: one for each layer.
        """
        return self.propagate(self.encode(inputs, self.scale), blocks)

    def propagate(self, rows: Tensor, blocks: Sequence[Block], drop: Drop | None = None) -> tuple[Tensor, Tensor]:
        """Logits and embeddings of the last block's targets, from layer 0 of the first block's sources.

        Args:
            rows: ``[S, layer_widths[0]]``.
            blocks: one for each layer.
            drop: in training, applied to each layer's input.
        """
        for number, block in enumerate(blocks, start=1):
            rows = self.layer(number, rows if drop is None else drop(rows), block)
        return self.classify(rows), rows

    def grow(self, class_capacity: int) -> list[tuple[nn.Parameter, nn.Parameter]]:
        """Add classes; learned weights stay. Returns each replaced parameter with its new one."""
        return [*node_class.grow_head(self.head, class_capacity), self.encoder.grow(class_capacity)]

    def distinguish(self, type_widths: tuple[int, ...]) -> None:
        """Prepare for a graph whose nodes have types with features of these widths, before it learns anything.

        The features of all types stand side by side, each after a column that shows the type, so the map of features
        has a part for each type. Here each gets a mean square of its own.
        """
        self.type_widths = type_widths
        self.mean_square = torch.ones(len(type_widths))

    def relate(self, relations: int) -> None:
        """Prepare for a graph with so many types of edges, once, before it learns anything.

        A student that does not override this treats all edges alike: a block holds those of all types.
        """
        self.relations = relations

    def read_edges(self, width: int) -> None:
        """Prepare for edges with so many features, once, after :meth:`relate` and before it learns anything.

        A student that does not override this passes over the features of edges.
        """
        self.edge_width = width

    def advance(self) -> None:
        """One step of time for students whose weights evolve; others do nothing.

        It may come between the forward and the backward pass of a training step: it replaces tensors, and changes
        none in place.
        """

    def remember(self, inputs: Inputs, block: Block) -> Tensor:
        """Hidden states ``[N, width]`` of a block's targets after a step of time.

        Raises:
            NotImplementedError: the student does not remember.
        """
        raise NotImplementedError(f"{self.architecture} does not remember")


def linear(source: int, target: int) -> nn.Linear:
    """A linear map with Glorot weights."""
    layer = nn.Linear(source, target)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
