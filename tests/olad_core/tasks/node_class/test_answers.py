"""Answers about the class of a node."""

from __future__ import annotations

import pytest
import torch

from olad_core.students import build_student
from olad_core.tasks import node_class


@pytest.mark.parametrize("classes", [1, 2, 7, 15, 16, 40])
def test_answers_are_the_disagreement_and_the_probabilities(classes: int) -> None:
    student = build_student("gcn", 5, 8, classes, seed=0)
    student.temperature.fill_(1.7)
    outputs = 20 * torch.randn(9, node_class.head_width(classes), generator=torch.Generator().manual_seed(1))
    answers = student.answers(outputs)
    torch.testing.assert_close(answers[:, node_class.DISAGREEMENT], outputs[:, 0].sigmoid())
    torch.testing.assert_close(answers[:, node_class.CLASSES], (outputs[:, 1:] / 1.7).softmax(dim=1))
