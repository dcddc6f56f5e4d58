"""Students of one architecture side by side: one forward pass computes all of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs
from olad_core.students.encoder import encode
from olad_core.students.linear import LinearStudent
from olad_core.students.student import Drop, Student
from olad_core.tasks import node_class


class Stack:
    """One student, or several of an architecture whose layers treat every column alike.

    Rows of several stand side by side, ``[n, G width]``: neighbours are read once for all of them, in longer rows.
    Their parameters stay their own; the encoders' are concatenated for every pass, which copies little.

    Args:
        students: more than one only if they are of one :attr:`~LinearStudent.columnwise` architecture.
        first: place of the first of them in the group.
    """

    def __init__(self, students: Sequence[Student], first: int = 0) -> None:
        self.students = tuple(students)
        self.place = slice(first, first + len(self.students))

    def encode(self, inputs: Sequence[Inputs], factors: Sequence[Tensor]) -> Tensor:
        """Layer 0 of N nodes; see :meth:`Student.encode`.

        Args:
            inputs: of each student; several get the same.
            factors: of each student.
        """
        if len(self.students) == 1:
            return self.students[0].encode(inputs[0], factors[0])
        encoders = [student.encoder for student in self.students]
        weights = [encoder.scaled(factor) for encoder, factor in zip(encoders, factors, strict=True)]
        bias = torch.cat([encoder.bias for encoder in encoders])
        labels = torch.cat([encoder.labels for encoder in encoders], dim=1)
        columns = encoders[0].columns
        structure = torch.cat([encoder.structure for encoder in encoders], dim=1) if columns else None
        return encode(inputs[0], torch.cat(weights, dim=1), bias, labels, structure, columns)

    def propagate(self, rows: Tensor, blocks: Sequence[Block], drop: Drop | None = None) -> tuple[Tensor, Tensor]:
        """Logits ``[G, n, class_capacity]`` and embeddings ``[G, n, width]`` of the last block's targets.

        Args:
            rows: layer 0 of the first block's sources.
            blocks: one for each layer.
            drop: in training, applied to each layer's input.
        """
        embeddings = self.embed(rows, blocks, drop)
        return self.classify(embeddings), embeddings

    def classify(self, embeddings: Tensor) -> Tensor:
        """Logits ``[G, n, class_capacity]`` of embeddings ``[G, n, width]``."""
        if len(self.students) == 1:
            return self.students[0].classify(embeddings[0]).unsqueeze(0)
        return node_class.logits_side_by_side([student.head for student in self.students], embeddings)

    def embed(self, rows: Tensor, blocks: Sequence[Block], drop: Drop | None = None) -> Tensor:
        """Embeddings ``[G, n, width]`` alone; arguments are :meth:`propagate`'s."""
        first = self.students[0]
        for number, block in enumerate(blocks, start=1):
            rows = first.layer(number, rows if drop is None else drop(rows), block)
        if len(self.students) == 1:
            return rows.unsqueeze(0)
        return rows.view(len(rows), len(self.students), first.width).transpose(0, 1)

    def shapes(self, blocks: Sequence[Block]) -> list[tuple[int, int]]:
        """Shapes of the inputs of each layer, in order."""
        widths = self.students[0].layer_widths[:-1]
        pairs = zip(blocks, widths, strict=True)
        return [(block.in_weight.shape[0], width * len(self.students)) for block, width in pairs]


def stacks(students: Sequence[Student]) -> list[Stack]:
    """The group in its order. Consecutive students of one columnwise architecture form one stack."""

    def kind(student: Student) -> object:
        return type(student) if isinstance(student, LinearStudent) and student.stands_side_by_side else student

    alike = [list(each) for _, each in groupby(students, kind)]
    return [Stack(each, sum(map(len, alike[:number]))) for number, each in enumerate(alike)]
