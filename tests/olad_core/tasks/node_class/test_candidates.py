"""Candidate classes stand for all classes: exactly where all are candidates, on average where some are sampled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from olad_core.tasks import node_class
from olad_core.tasks.node_class import candidates as module

STUDENTS, NODES, WIDTH, CLASSES = 3, 7, 6, 40


@pytest.fixture
def embeddings() -> Tensor:
    return torch.randn(STUDENTS, NODES, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def heads() -> list[torch.nn.Linear]:
    torch.manual_seed(0)
    return [node_class.new_head(WIDTH, CLASSES) for _ in range(STUDENTS)]


def all_logits(heads: list[torch.nn.Linear], embeddings: Tensor) -> Tensor:
    return node_class.logits_side_by_side(heads, embeddings)


class TestDrawing:
    @pytest.mark.parametrize("sampled", [0, 5, 12, 100])
    def test_certain_classes_come_first_and_the_sample_stands_for_the_others(
        self, sampled: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "SAMPLED", sampled)
        certain = torch.tensor([9, 30, 9, 2, 30])
        drawn = node_class.draw_candidates(certain, CLASSES, np.random.default_rng(0))
        assert drawn.classes[: drawn.certain].tolist() == [2, 9, 30]
        assert drawn.classes[drawn.places(certain)].tolist() == certain.tolist()
        assert len(set(drawn.classes.tolist())) == len(drawn.classes) == 3 + min(sampled, CLASSES - 3)
        counts = drawn.log_counts.exp()
        assert counts[:3].tolist() == [1, 1, 1]
        assert float(counts.sum()) == pytest.approx(CLASSES if sampled else 3)

    def test_sums_over_candidates_are_those_over_all_classes_on_average(
        self, heads: list[torch.nn.Linear], embeddings: Tensor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "SAMPLED", 6)
        random, draws = np.random.default_rng(5), 2000
        found = torch.zeros(STUDENTS, NODES)
        with torch.no_grad():
            for _ in range(draws):
                drawn = node_class.draw_candidates(torch.tensor([3, 17]), CLASSES, random)
                found += node_class.candidate_heads(heads, drawn).logits(embeddings).exp().sum(dim=2) / draws
            torch.testing.assert_close(found, all_logits(heads, embeddings).exp().sum(dim=2), rtol=0.04, atol=0)


class TestWhereAllAreCandidates:
    @pytest.fixture
    def drawn(self) -> node_class.Candidates:
        return node_class.draw_candidates(torch.tensor([30, 4, 11]), CLASSES, np.random.default_rng(0))

    def test_losses_and_gradients_are_those_over_all_classes(
        self, heads: list[torch.nn.Linear], embeddings: Tensor, drawn: node_class.Candidates
    ) -> None:
        targets = torch.tensor([30, 4, 11, 4, 4, 30, 11])
        gradients = []
        own = node_class.candidate_heads(heads, drawn)
        for logits, truth in (
            (own.logits(embeddings), drawn.places(targets)),
            (all_logits(heads, embeddings), targets),
        ):
            losses = node_class.losses(logits, truth)
            gradients.append(torch.autograd.grad(losses.sum(), [head.weight for head in heads]))
            if len(gradients) == 1:
                first = losses
        torch.testing.assert_close(first, losses)
        torch.testing.assert_close(*gradients)

    @pytest.mark.parametrize("temperature", [1.0, 2.5])
    def test_divergence_and_disagreement_are_those_over_all_classes(
        self, heads: list[torch.nn.Linear], embeddings: Tensor, drawn: node_class.Candidates, temperature: float
    ) -> None:
        teaching = torch.tensor([[0.0, 0.5, 0.5], [1, 0, 0], [0.25, 0.5, 0]])
        logits = node_class.candidate_heads(heads, drawn).logits(embeddings, temperature)
        every = all_logits(heads, embeddings)
        for found, expected in (
            (
                node_class.global_losses(logits, logits.flip(1), teaching, temperature),
                node_class.global_losses(every, every.flip(1), teaching, temperature),
            ),
            (node_class.disagreement(logits), node_class.disagreement(every)),
        ):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_a_class_that_stands_for_others_is_not_taught(heads: list[torch.nn.Linear], embeddings: Tensor) -> None:
    every, teaching = all_logits(heads, embeddings), torch.tensor([[0.0, 1, 0], [1, 0, 0], [1, 0, 0]])
    teachers = every.clone()
    teachers[:, :, 20] += 50  # The teachers are sure of a class that is not taught.
    taught = node_class.global_losses(every, teachers, teaching, 1.0, 0.5, slice(10))
    assert taught.tolist() == [0, 0, 0]
    assert bool((node_class.global_losses(every, teachers, teaching, 1.0, 0.5) > 1).all())


def test_gradients_reach_the_rows_of_candidates_alone(heads: list[torch.nn.Linear], embeddings: Tensor) -> None:
    drawn = node_class.Candidates(torch.tensor([5, 8, 33]), 2, torch.zeros(3))
    own = node_class.candidate_heads(heads, drawn)
    (own.logits(embeddings).sum() + own.disagreement_logits(embeddings).sum()).backward()  # type: ignore[no-untyped-call]
    for head in heads:
        assert head.weight.grad is not None
        assert head.bias.grad is not None
        for gradient in (head.weight.grad.abs().sum(dim=1), head.bias.grad):
            assert torch.nonzero(gradient).flatten().tolist() == [0, 6, 9, 34]


def test_predictions_and_disagreement_are_those_of_the_heads(heads: list[torch.nn.Linear], embeddings: Tensor) -> None:
    found = node_class.predicted_of_all(heads, embeddings, CLASSES)
    torch.testing.assert_close(found, all_logits(heads, embeddings).argmax(dim=2))
    assert int(node_class.predicted_of_all(heads, embeddings, 5).max()) < 5
    drawn = node_class.draw_candidates(torch.tensor([1]), CLASSES, np.random.default_rng(0))
    doubts = node_class.candidate_heads(heads, drawn).disagreement_logits(embeddings)
    expected = [head(rows)[:, node_class.DISAGREEMENT] for head, rows in zip(heads, embeddings, strict=True)]
    torch.testing.assert_close(doubts, torch.stack(expected))


def test_nodes_whose_classes_are_predicted_are_fewer_the_more_classes_there_are() -> None:
    counts = [len(node_class.nodes_to_predict(512, 4, classes)) for classes in (100, 1_000, 5_000, 50_000, 10**9)]
    assert counts == [512, 512, 103, 10, 1]
