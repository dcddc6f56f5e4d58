"""Students whose nodes receive weighted sums: what one sends depends on the sender alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor
from typing_extensions import override

from olad_core.messages.aggregate import aggregate
from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs
from olad_core.students.edge_maps import EdgeMaps, sum_features
from olad_core.students.relation_maps import RelationMaps
from olad_core.students.student import Student

_LEAST_WEIGHT = 1e-30
"""The sum over no neighbours, zero, is divided by this."""


class Factors(NamedTuple):
    """What rows are multiplied by where nodes mix their own with their neighbours', each ``[n]``.

    Attributes:
        own: of a node's own row.
        total: of the sum of what it receives.
        sent: of what it sends.
    """

    own: Tensor
    total: Tensor
    sent: Tensor

    @classmethod
    def of_mean(cls, in_weight: Tensor, own: Tensor) -> Factors:
        """Those of a weighted mean over the neighbours.

        Args:
            in_weight: ``[n]`` sums of the weights of incoming edges. The mean of no neighbours is zero.
            own: of a node's own row.
        """
        return cls(own, total=in_weight.clamp_min(_LEAST_WEIGHT).reciprocal(), sent=torch.ones_like(in_weight))


class LinearStudent(Student):
    """A student with ``layer_k(i) = finish(a_i own_i + b_i sum_j w_ij c_j sent_j)``, j being i's in-neighbours.

    ``own`` and ``sent`` are columns of the prepared rows of the layer below, the first ones and those from
    ``sent_from``; the factors a, b and c follow from degrees alone. The sum is linear in what is sent, so when a
    node changes it is enough to send the *difference* along its edges: no other neighbour of the receiver needs to
    be read again. Where edges have several types, the sum of each is mapped by the type before they are added up. Where
    edges have features, a map of them is a term of the message: ``sent_j`` plus the map of ``x_ij``.
    """

    ends_linearly: ClassVar[bool] = False
    """Whether the last layer is the mix as it is, so that logits may be mixed instead of what they are made of."""
    columnwise: ClassVar[bool] = False
    """Whether the layers treat every column alike, so that students can stand side by side as one wider student."""
    finish_reads_below: ClassVar[bool] = True
    """Whether :meth:`finish` reads rows of the layer below."""
    sent_from: int = 0

    @property
    def message_widths(self) -> tuple[int, ...]:
        """Widths of the messages into layer 1 to layer ``num_layers``."""
        return (self.width,) * self.num_layers

    @property
    def prepared_widths(self) -> tuple[int, ...]:
        """Widths of the prepared rows of layer 0 to layer ``num_layers - 1``."""
        return self.layer_widths[:-1]

    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        encoded: Tensor = self.encoder(inputs, factor)
        return encoded

    @abstractmethod
    def factors(self, in_weight: Tensor) -> Factors:
        """The factors of nodes, from ``[n]`` sums of the weights of their incoming edges."""

    @property
    def stands_side_by_side(self) -> bool:
        """Whether its layers treat every column alike: maps of types and of features of edges do not."""
        return self.columnwise and not self.relation_maps and not self.edge_maps

    def groups(self, block: Block) -> Block:
        """The block whose sums it maps: by target and type, or by target where all types are alike."""
        return block.of_types if self.relation_maps else block

    @override
    def relate(self, relations: int) -> None:
        super().relate(relations)
        self.relation_maps.extend(RelationMaps(width, relations) for width in self.message_widths)

    @override
    def read_edges(self, width: int) -> None:
        super().read_edges(width)
        self.edge_maps.extend(EdgeMaps(width, outputs, self.relations) for outputs in self.message_widths)

    def of_edges(self, number: int, block: Block, weight: Tensor) -> Tensor:
        """What follows from the features of edges in the sums of layer ``number``: ``[N, message width]``.

        Args:
            number: 1 to ``num_layers``.
            block: whose edges have features.
            weight: ``[E]``, of each edge in the sums.
        """
        maps = cast("EdgeMaps", self.edge_maps[number - 1])
        return maps.of_sums(sum_features(block, weight), block.num_targets)

    def prepare(self, number: int, rows: Tensor) -> Tensor:  # noqa: ARG002
        """Rows of the layer below, ``[n, layer_widths[number - 1]]``, as layer ``number`` mixes them."""
        return rows

    @abstractmethod
    def finish(self, number: int, mixed: Tensor, below: Tensor, index: Tensor) -> Tensor:
        """Rows of layer ``number``; may overwrite ``mixed``.

        Args:
            number: 1 to ``num_layers``.
            mixed: ``[n, message_widths[number - 1]]``.
            below: prepared rows of the layer below.
            index: ``[n]``, which of these are the nodes' own.
        """

    @override
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        below = self.prepare(number, source)
        width = below.shape[1] if self.stands_side_by_side else self.message_widths[number - 1]
        own, total, sent = self.factors(block.in_weight)
        # Factors of edges instead of rows: an edge has one number where a row has its whole width.
        weight = block.weight * sent[block.sources] * block.own(total)[block.target_of_edge]
        received = aggregate(below[:, self.sent_from : self.sent_from + width], weight, self.groups(block))
        if self.relation_maps:
            received = self.relation_maps[number - 1](received, block.num_targets)
        if self.edge_maps and block.x is not None:
            received = received + self.of_edges(number, block, weight)
        mixed = block.own(below[:, :width]) * block.own(own).unsqueeze(1) + received
        return self.finish(number, mixed, below, block.targets)
