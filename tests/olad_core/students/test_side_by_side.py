"""Students side by side are the same students."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from olad_core.messages.sparse_features import Features, SparseRows
from olad_core.students import Block, Inputs, Student, build_student, stacks
from olad_core.students.side_by_side import Stack
from tests.olad_core.blocks import block_of, random_adjacency

NODES, FEATURES, WIDTH, CLASSES = 9, 5, 8, 3


def group(*architectures: str) -> list[Student]:
    students = [build_student(name, FEATURES, WIDTH, CLASSES, seed) for seed, name in enumerate(architectures)]
    for number, student in enumerate(students):
        student.mean_square.fill_(1 + number)
        torch.nn.init.uniform_(student.encoder.bias, generator=torch.Generator().manual_seed(number))
    return students


def features(sparse: bool) -> Features:
    x = torch.randn(NODES, FEATURES, generator=torch.Generator().manual_seed(11)).relu()
    if not sparse:
        return x
    row, column = x.nonzero(as_tuple=True)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(row, minlength=NODES).cumsum(0)])
    entries = Block(torch.arange(NODES), column, offsets, x[row, column], torch.zeros(FEATURES))
    return SparseRows(FEATURES, entries)


def results_of(students: list[Student], together: list[Stack], inputs: Inputs) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Logits and embeddings of all, and the gradients of a number that depends on every one of them."""
    # The second layer's targets are not the first rows.
    adjacency = random_adjacency(NODES, seed=2)
    blocks = [block_of(adjacency), block_of(adjacency, [7, 0, 3])]
    dropped = torch.linspace(0.5, 2, NODES).unsqueeze(1)
    logits, embeddings = [], []
    for stack in together:
        several = len(students[stack.place])
        factors = [student.scale * torch.arange(1.0, 1 + FEATURES) for student in students[stack.place]]
        rows = stack.encode([inputs] * several, factors)
        one, other = stack.propagate(rows, blocks, lambda rows: rows * dropped[: len(rows)])
        logits.append(one)
        embeddings.append(other)
    all_logits, all_embeddings = torch.cat(logits), torch.cat(embeddings)
    random = torch.Generator().manual_seed(3)
    weights = torch.randn(all_logits.shape, generator=random), torch.randn(all_embeddings.shape, generator=random)
    found = (all_logits * weights[0]).sum() + (all_embeddings * weights[1]).sum()
    parameters = [parameter for student in students for parameter in student.parameters()]
    gradients = torch.autograd.grad(found, parameters, allow_unused=True)
    return all_logits, all_embeddings, [gradient for gradient in gradients if gradient is not None]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("architectures", "passes"),
    [
        (("gcn",) * 4, 1),
        (("gcn", "gcn", "sage", "gcn"), 3),
        (("gcn", "sage", "gat", "evolvegcn", "tgcn"), 5),
        (("sage", "sage"), 2),
    ],
)
def test_together_they_say_and_learn_what_they_do_one_by_one(
    architectures: tuple[str, ...], passes: int, sparse: bool
) -> None:
    students = group(*architectures)
    together, apart = stacks(students), [Stack([student], number) for number, student in enumerate(students)]
    assert len(together) == passes
    inputs = Inputs(features(sparse), torch.arange(NODES) % (CLASSES + 1) - 1)
    logits, embeddings, gradients = results_of(students, together, inputs)
    expected_logits, expected_embeddings, expected_gradients = results_of(students, apart, inputs)
    assert logits.shape == (len(students), 3, CLASSES)
    assert embeddings.shape == (len(students), 3, WIDTH)
    torch.testing.assert_close(logits, expected_logits)
    torch.testing.assert_close(embeddings, expected_embeddings)
    torch.testing.assert_close(gradients, expected_gradients)
    assert len(gradients) > 3 * len(students)


def test_one_student_alone_is_itself() -> None:
    [student] = group("gcn")
    inputs = Inputs(features(sparse=False), torch.full((NODES,), -1))
    blocks = [block_of(random_adjacency(NODES, seed=2))] * 2
    [alone] = stacks([student])
    logits, embeddings = alone.propagate(alone.encode([inputs], [student.scale]), blocks)
    expected_logits, expected_embeddings = student(inputs, blocks)
    assert torch.equal(logits[0], expected_logits)
    assert torch.equal(embeddings[0], expected_embeddings)


def test_heads_that_grew_are_read_whole() -> None:
    students = group("gcn", "gcn")
    [stack] = stacks(students)
    for student in students:
        student.grow(CLASSES + 5)
    inputs = Inputs(features(sparse=False), torch.full((NODES,), CLASSES + 4))
    blocks = [block_of(random_adjacency(NODES, seed=2))] * 2
    rows = stack.encode([inputs] * 2, [student.scale for student in students])
    assert stack.propagate(rows, blocks)[0].shape == (2, NODES, CLASSES + 5)
