"""Checks that a row depends on nothing but what its block names."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from olad_core.messages.block import Block
from olad_core.students.check.case import (
    FEATURES,
    NODES,
    Case,
    adjacency,
    block_of,
    embed,
    features,
    inputs,
    layers,
    of_nodes,
    require,
    require_close,
)
from olad_core.students.linear import LinearStudent
from olad_core.students.side_by_side import Stack
from olad_core.students.student import Student

SUBSETS = ([7, 0, 3], [8], [6, 5, 4, 2, 1])


def rows_are_computed_alone(case: Case) -> None:
    """A row of a layer is the same, whichever other rows are computed with it and in whatever order."""
    student, weights = case.build(), adjacency()
    together = layers(student, inputs(), block_of(weights))
    with torch.no_grad():
        for subset in SUBSETS:
            alone = student.encode(of_nodes(inputs(), subset), student.scale)
            require_close(alone, together[0][subset], f"encode gives other rows for the nodes {subset} alone")
            for number in range(1, student.num_layers + 1):
                alone = student.layer(number, together[number - 1], block_of(weights, subset))
                expected = together[number][subset]
                require_close(alone, expected, f"layer {number} gives other rows for the targets {subset} alone")


def rows_read_neighbours_only(case: Case) -> None:
    """A row of a layer depends on the rows of its target and its sources, and on no other."""
    student, weights = case.build(), adjacency()
    weights[0] = 0
    weights[0, [2, 5]] = 1.5
    block = block_of(weights, [0])
    others = [node for node in range(NODES) if node not in {0, 2, 5}]
    rows = layers(student, inputs(), block_of(weights))
    with torch.no_grad():
        for number in range(1, student.num_layers + 1):
            below, in_weight = rows[number - 1].clone(), block.in_weight.clone()
            below[others] = 3 - 2 * below[others]
            in_weight[others] += 2
            found = student.layer(number, below, replace(block, in_weight=in_weight))
            expected = rows[number][:1]
            require_close(found, expected, f"layer {number} depends on rows that are neither target nor neighbour")


def order_of_nodes_does_not_matter(case: Case) -> None:
    """Nodes in another order have the same rows."""
    student, weights = case.build(), adjacency()
    order = [*range(4, NODES), *range(4)]
    logits, _ = embed(student, inputs(), block_of(weights))
    found, _ = embed(student, of_nodes(inputs(), order), block_of(weights[order][:, order]))
    require_close(found, logits[order], "nodes in another order have other logits")


def degree_is_declared(case: Case) -> None:
    """uses_degree states whether a message depends on the degree of its sender."""
    student = case.build()
    block = block_of(adjacency(), [0])
    others = block.in_weight.clone()
    others[1:] *= 3
    rows = layers(student, inputs(), block_of(adjacency()))
    with torch.no_grad():
        depends = any(
            not torch.allclose(
                student.layer(number, rows[number - 1], replace(block, in_weight=others)),
                rows[number][:1],
                rtol=1e-5,
                atol=1e-6,
            )
            for number in range(1, student.num_layers + 1)
        )
    does = "depend" if depends else "do not depend"
    require(depends == student.uses_degree, f"uses_degree is {student.uses_degree}, but rows {does} on it")


def columns_are_alike(case: Case) -> None:
    """Where columnwise is declared, several students side by side compute what each does alone."""
    if not (issubclass(case.architecture, LinearStudent) and case.architecture.columnwise):
        return
    students = [case.build(seed=seed) for seed in (1, 2)]
    blocks = [block_of(adjacency())] * students[0].num_layers
    # Students side by side share their inputs: none of them has a hidden state.
    given = replace(inputs(), memory=None)
    stack = Stack(students)
    with torch.no_grad():
        factors = [student.scale.expand(FEATURES) for student in students]
        together, _ = stack.propagate(stack.encode([given] * len(students), factors), blocks)
        for found, student in zip(together, students, strict=True):
            alone, _ = student(given, blocks)
            require_close(found, alone, "columnwise is declared, but students side by side compute something else")


def hidden_state_is_declared(case: Case) -> None:
    """Hidden states are read and advanced by students that declare `remembers`, and by no other."""
    student, block = case.build(), block_of(adjacency())
    logits, _ = embed(student, inputs(), block)
    without, _ = embed(student, replace(inputs(), memory=None), block)
    reads = not torch.equal(without, logits)
    does = "depend" if reads else "do not depend"
    require(reads == student.remembers, f"remembers is {student.remembers}, but logits {does} on hidden states")
    zeros, _ = embed(student, replace(inputs(), memory=torch.zeros(NODES, student.width)), block)
    require_close(zeros, without, "a hidden state of zeros must be the same as none")
    state = _remembered(student, block_of(adjacency(), [4, 2]))
    require((state is not None) == student.remembers, _UNFIT.format(remembers=student.remembers))
    if state is not None:
        shape = (2, student.width)
        require(state.shape == shape, f"remember must give states {list(shape)}, and gives {list(state.shape)}")
        require(bool(state.isfinite().all()), "remember gives states that are not finite")


_UNFIT = "remembers is {remembers}: remember must give states where it is True, else raise NotImplementedError"


def _remembered(student: Student, block: Block) -> Tensor | None:
    try:
        with torch.no_grad():
            return student.remember(inputs(), block)
    except NotImplementedError:
        return None


def factors_scale_features(case: Case) -> None:
    """Features are multiplied by the factor of encode, one number or one a feature; forward passes `scale`."""
    student, given = case.build(), inputs()
    with torch.no_grad():
        for factor in (torch.tensor(0.3), torch.linspace(0, 2, FEATURES)):
            scaled = student.encode(replace(given, x=features() * factor), torch.tensor(1.0))
            found = student.encode(given, factor)
            require_close(found, scaled, "encode with a factor must be encode of features times that factor")
    before, _ = embed(student, given, block_of(adjacency()))
    student.mean_square *= 1000.0**2
    after, _ = embed(student, replace(given, x=1000 * features()), block_of(adjacency()))
    require_close(after, before, "features in another unit, with mean_square following, give other logits", 1e-4)
