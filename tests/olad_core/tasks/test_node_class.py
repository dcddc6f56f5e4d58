"""Targets, loss and answers of the class of a node."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch

from olad_core.events import LabelNode, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.students import build_student
from olad_core.tasks import node_class

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


@pytest.mark.parametrize("classes", [1, 2, 7, 15, 16, 40])
def test_answers_are_the_disagreement_and_the_probabilities(classes: int) -> None:
    student = build_student("gcn", 5, 8, classes, seed=0)
    student.temperature.fill_(1.7)
    outputs = 20 * torch.randn(9, node_class.head_width(classes), generator=torch.Generator().manual_seed(1))
    answers = student.answers(outputs)
    torch.testing.assert_close(answers[:, node_class.DISAGREEMENT], outputs[:, 0].sigmoid())
    torch.testing.assert_close(answers[:, node_class.CLASSES], (outputs[:, 1:] / 1.7).softmax(dim=1))
