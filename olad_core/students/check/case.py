"""Fixtures of the checks of a student: a small graph, inputs, and assertions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from olad_core.config import STRUCTURE, STRUCTURE_STEPS
from olad_core.errors import OladError
from olad_core.messages.block import Block
from olad_core.messages.inputs import Inputs, StructureSteps
from olad_core.messages.sparse_features import SparseRows
from olad_core.students.encoder import Encoder
from olad_core.students.registry import build
from olad_core.students.student import Student

NODES, FEATURES, WIDTH, CLASSES = 9, 5, 8, 3
"""Sizes of the graph and of the students that are checked."""


class ContractBroken(OladError, AssertionError):
    """A student does not keep the contract of :class:`~olad_core.students.Student`; the message names the check."""


@dataclass(frozen=True)
class Case:
    """The architecture that is checked.

    Attributes:
        architecture: a class of students.
    """

    architecture: type[Student]

    def build(
        self,
        feature_width: int = FEATURES,
        width: int = WIDTH,
        seed: int = 4,
        relations: int = 1,
        type_widths: tuple[int, ...] = (),
        edge_width: int = 0,
    ) -> Student:
        """A student for :data:`CLASSES` classes that reads the structure; its features have a scale other than one."""
        student = build(self.architecture, feature_width, width, CLASSES, seed, relations, type_widths, edge_width)
        student.mean_square.fill_(1.7)
        if isinstance(student.encoder, Encoder):
            student.encoder.read_structure(STRUCTURE)
            with torch.no_grad():
                student.encoder.structure.copy_(_structure_rows(student.encoder.structure))
        return student


def require(holds: bool, message: str) -> None:
    """Refuse the student with this message unless the statement holds."""
    if not holds:
        raise ContractBroken(message)


def require_close(found: Tensor, expected: Tensor, message: str, tolerance: float = 1e-5) -> None:
    """Refuse the student unless two tensors are equal up to a relative and absolute tolerance."""
    require(found.shape == expected.shape, f"{message}: the shapes are {list(found.shape)} and {list(expected.shape)}")
    if not torch.allclose(found, expected, rtol=tolerance, atol=tolerance):
        worst = float((found - expected).abs().nan_to_num(torch.inf).max())
        raise ContractBroken(f"{message}: the largest difference is {worst:.2g}")


def features() -> Tensor:
    """``[NODES, FEATURES]``."""
    return torch.randn(NODES, FEATURES, generator=torch.Generator().manual_seed(11))


def inputs() -> Inputs:
    """Features, labels of some nodes, hidden states and structure."""
    memory = torch.randn(NODES, WIDTH, generator=torch.Generator().manual_seed(12)).tanh()
    return Inputs(features(), torch.arange(NODES) % (CLASSES + 1) - 1, memory, structure())


def structure() -> StructureSteps:
    """Steps of every column."""
    random = torch.Generator().manual_seed(14)
    return StructureSteps(torch.randint(STRUCTURE_STEPS, (NODES, len(STRUCTURE)), generator=random).to(torch.uint8))


def of_nodes(given: Inputs, nodes: Sequence[int]) -> Inputs:
    """The inputs of some of the nodes, in this order."""
    assert isinstance(given.x, Tensor)
    memory = None if given.memory is None else given.memory[nodes]
    steps = None if given.structure is None else StructureSteps(given.structure.steps[nodes])
    return replace(given, x=given.x[nodes], label=given.label[nodes], memory=memory, structure=steps)


def _structure_rows(like: Tensor) -> Tensor:
    """Rows for the steps as a student may have learned them."""
    return 0.1 * torch.randn(like.shape, generator=torch.Generator().manual_seed(13))


def sparse(x: Tensor) -> SparseRows:
    """Dense features as their entries that are not zero."""
    row, column = x.nonzero(as_tuple=True)
    counts = torch.bincount(row, minlength=len(x))
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    width = x.shape[1]
    return SparseRows(width, Block(torch.arange(len(x)), column, offsets, x[row, column], torch.zeros(width)))


def random_adjacency(nodes: int, seed: int, share: float = 0.4) -> Tensor:
    """``A[i, j]``, the weight of the edge from j to i, zero where there is none; no self-loops."""
    random = torch.Generator().manual_seed(seed)
    weight = 0.5 + torch.rand(nodes, nodes, generator=random)
    there = torch.rand(nodes, nodes, generator=random) < share
    return (weight * there).fill_diagonal_(0)


def adjacency() -> Tensor:
    """Of the graph of the checks; node 3 has no incoming edges."""
    weights = random_adjacency(NODES, seed=2)
    weights[3] = 0
    return weights


def block_of(adjacency: Tensor, targets: Sequence[int] | None = None) -> Block:
    """The edges into ``targets`` (all nodes), every node being a source."""
    rows = torch.arange(len(adjacency)) if targets is None else torch.tensor(targets, dtype=torch.int64)
    target, source = adjacency[rows].nonzero(as_tuple=True)
    counts = torch.bincount(target, minlength=len(rows))
    return Block(
        targets=rows,
        sources=source,
        offsets=torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)]),
        weight=adjacency[rows][target, source],
        in_weight=adjacency.sum(dim=1),
    )


def layers(student: Student, given: Inputs, block: Block) -> list[Tensor]:
    """Rows of all layers of all nodes, without gradients."""
    with torch.no_grad():
        rows = [student.encode(given, student.scale)]
        for number in range(1, student.num_layers + 1):
            rows.append(student.layer(number, rows[-1], block))
    return rows


def embed(student: Student, given: Inputs, block: Block) -> tuple[Tensor, Tensor]:
    """Logits and embeddings of all nodes, without gradients."""
    with torch.no_grad():
        logits, embedding = student(given, [block] * student.num_layers)
    return logits, embedding
