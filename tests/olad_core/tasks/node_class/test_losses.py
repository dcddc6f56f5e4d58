"""Targets and losses of the class of a node, against values worked out by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from torch import Tensor

from olad_core.events import LabelNode, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.tasks import node_class
from olad_core.tasks.node_class import global_losses

LN3 = log(3)
"""Logits (ln 3, 0) are the probabilities (3/4, 1/4)."""


def test_the_loss_is_the_mean_cross_entropy_of_each_student() -> None:
    logits = torch.tensor([[[LN3, 0.0], [0.0, 0.0]], [[0.0, LN3], [LN3, 0.0]]])
    # Student 0 gives the truths 3/4 and 1/2, student 1 gives 1/4 and 1/4.
    expected = [-(log(3 / 4) + log(1 / 2)) / 2, -log(1 / 4)]
    torch.testing.assert_close(node_class.losses(logits, torch.tensor([0, 1])), torch.tensor(expected))


def test_targets_are_the_classes_of_rows() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertNode("a"), UpsertNode("b"), LabelNode("b", "red"), LabelNode("a", "blue")], 0.0)
    found = node_class.targets(graph, np.array([0, 1, 0]), torch.device("cpu"))
    assert [graph.classes[number] for number in found.tolist()] == ["blue", "red", "blue"]
    assert found.dtype == torch.int64


class TestGlobal:
    logits = torch.tensor([[[LN3, 0.0]], [[0.0, 0.0]], [[0.0, LN3]]])
    """Probabilities of the first class at the one node: 3/4, 1/2, 1/4."""

    def test_is_the_divergence_of_the_teachers_from_the_student(self) -> None:
        # p_0 = (s_1 + s_2) / 2 = (3/8, 5/8); nobody teaches 1; p_2 = s_0 = (3/4, 1/4).
        teaching = torch.tensor([[0.0, 0.5, 0.5], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
        first = 3 / 8 * log((3 / 8) / (3 / 4)) + 5 / 8 * log((5 / 8) / (1 / 4))
        third = 3 / 4 * log((3 / 4) / (1 / 4)) + 1 / 4 * log((1 / 4) / (3 / 4))
        found = global_losses(self.logits, self.logits, teaching, temperature=1.0)
        torch.testing.assert_close(found, torch.tensor([first, 0.0, third]))

    def test_softens_both_sides_and_multiplies_by_the_squared_temperature(self) -> None:
        # At T = 2, logits (2 ln 3, 0) are (3/4, 1/4) and (0, 0) are (1/2, 1/2); T^2 = 4.
        logits = torch.tensor([[[2 * LN3, 0.0]], [[0.0, 0.0]]])
        teaching = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        first = 4 * (1 / 2 * log((1 / 2) / (3 / 4)) + 1 / 2 * log((1 / 2) / (1 / 4)))
        second = 4 * (3 / 4 * log((3 / 4) / (1 / 2)) + 1 / 4 * log((1 / 4) / (1 / 2)))
        torch.testing.assert_close(global_losses(logits, logits, teaching, 2.0), torch.tensor([first, second]))

    def test_is_the_mean_over_nodes(self) -> None:
        teaching = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
        alone = global_losses(self.logits, self.logits, teaching, 1.0)[0]
        agreeing = self.logits[1:2].expand(3, 1, 2)
        both = global_losses(*2 * (torch.cat([self.logits, agreeing], dim=1),), teaching, 1.0)[0]
        torch.testing.assert_close(both, alone / 2)

    def test_teaches_only_where_the_teacher_is_sure(self) -> None:
        # Student 1's confidence is 3/4 at the first node and 1/2 at the second.
        logits = torch.tensor([[[0.0, 0.0], [LN3, 0.0]], [[LN3, 0.0], [0.0, 0.0]]])
        teaching = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
        at_first = 3 / 4 * log((3 / 4) / (1 / 2)) + 1 / 4 * log((1 / 4) / (1 / 2))
        assert global_losses(logits, logits, teaching, 1.0, min_confidence=0.7)[0].item() == pytest.approx(at_first / 2)
        assert global_losses(logits, logits, teaching, 1.0, min_confidence=0.8).tolist() == [0.0, 0.0]

    def test_no_gradient_reaches_the_teacher(self) -> None:
        logits = self.logits.clone().requires_grad_()
        teaching = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
        global_losses(logits, logits, teaching, 1.0).sum().backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        # The gradient of KL(p || s(z)) is s(z) - p: (3/4, 1/4) - (1/2, 1/2).
        torch.testing.assert_close(logits.grad[0], torch.tensor([[0.25, -0.25]]))
        assert not logits.grad[1:].any()

    def test_gradients_do_not_shrink_with_the_temperature(self) -> None:
        # Why T squared: for small logits the gradient is 2 (z - t) / C / T^2 * T^2 whatever T is.
        def gradient(temperature: float) -> Tensor:
            logits = (self.logits / 100).requires_grad_()
            global_losses(logits, logits, torch.eye(3).roll(1, 1), temperature).sum().backward()  # type: ignore[no-untyped-call]
            assert logits.grad is not None
            return logits.grad

        torch.testing.assert_close(gradient(5.0), gradient(1.0), rtol=0.02, atol=1e-5)

    def test_certain_teachers_and_students_are_finite(self) -> None:
        logits = torch.tensor([[[1e4, 0.0]], [[0.0, 1e4]]]).requires_grad_()
        losses = global_losses(logits, logits, torch.tensor([[0.0, 1.0], [1.0, 0.0]]), 1.0)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        assert losses.tolist() == [1e4, 1e4]
        assert logits.grad is not None
        assert logits.grad.isfinite().all()
