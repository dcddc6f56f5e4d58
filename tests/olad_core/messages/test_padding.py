from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from olad_core.messages.block import Block
from olad_core.messages.padding import pad_sample, size_class
from olad_core.messages.sample import Sample, sample
from olad_core.messages.sparse_features import SparseRows
from olad_core.students import Student
from olad_core.students.registry import architecture, build
from tests.olad_core.streams import FEATURES, changes, graph_of, take

CPU = torch.device("cpu")
COLUMNS = (0, 1)
STUDENTS = ("gcn", "sage", "gat", "evolvegcn", "mlp", "sign")


def drawn(seeds: int, seed: int = 0) -> Sample:
    graph = graph_of(take(changes(seed=1, nodes=60), 900))
    rows = np.flatnonzero(graph.alive)[:seeds]
    return sample(graph, rows, (4, 3), FEATURES, np.random.default_rng(seed), CPU)


def student_of(name: str) -> Student:
    torch.manual_seed(1)
    student = build(architecture(name), FEATURES, 8, 8, seed=3)
    student.encoder.read_structure(["in_degree", "out_degree"])
    with torch.no_grad():
        for weight in student.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return student


def learned(student: Student, found: Sample, seeds: int) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """Logits of the seeds, and the gradients of a function of them."""
    student.zero_grad()
    logits, embeddings = student(found.inputs, found.blocks)
    (logits[:seeds].square().sum() + embeddings[:seeds].sin().sum()).backward()
    return logits[:seeds].detach(), [weight.grad for weight in student.parameters()]


@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize("seeds", [1, 8, 17])
def test_logits_and_gradients_are_those_without_padding(name: str, seeds: int) -> None:
    student, plain = student_of(name), drawn(seeds)
    padded = pad_sample(plain, COLUMNS)
    assert padded.num_seeds > seeds
    expected, found = learned(student, plain, seeds), learned(student, padded, seeds)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-6)
    for gradient, wanted in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-5)


def test_padding_edges_lead_from_padding_rows_to_padding_rows() -> None:
    plain = drawn(9)
    padded = pad_sample(plain, COLUMNS)
    for before, after in zip(plain.blocks, padded.blocks, strict=True):
        count = len(before.sources)
        assert after.sources[:count].max() < after.sources[count:].min()
        assert after.target_of_edge[:count].max() < after.target_of_edge[count:].min()
        assert after.offsets[-1] == len(after.sources) == size_class(count)
        assert after.in_weight.isfinite().all()
        assert (after.in_weight > 0).sum() >= (before.in_weight > 0).sum()


def test_samples_of_about_one_size_have_one_shape() -> None:
    shapes = {
        tuple((len(block.sources), block.num_targets) for block in pad_sample(drawn(count, seed), COLUMNS).blocks)
        for count in (20, 22, 24)
        for seed in range(3)
    }
    assert len(shapes) <= 4


def test_sparse_features_are_those_without_padding() -> None:
    plain = drawn(9)
    assert isinstance(plain.inputs.x, torch.Tensor)
    row, column = plain.inputs.x.nonzero(as_tuple=True)
    counts = torch.bincount(row, minlength=len(plain.inputs.x))
    entries = Block(
        targets=torch.arange(len(counts)),
        sources=column,
        offsets=torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)]),
        weight=plain.inputs.x[row, column],
        in_weight=torch.zeros(FEATURES),
    )
    sparse = replace(plain, inputs=replace(plain.inputs, x=SparseRows(FEATURES, entries)))
    student = student_of("sage")
    found, expected = learned(student, pad_sample(sparse, COLUMNS), 9), learned(student, plain, 9)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-6)
    for gradient, wanted in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-5)
