"""What predictions of the class of a node yield."""

from __future__ import annotations

import math

import numpy as np
import pytest

from olad_core.tasks import node_class
from tests.olad_core.judging.predictions import saying

NAN = math.nan


def test_a_prediction_yields_its_class_its_confidence_and_the_loss_of_the_truth() -> None:
    predictions = np.array([[[0.25, 0.75], [NAN, NAN]], [[0.5, 0.5], [1.0, 0.0]]], np.float32)
    found = node_class.score(predictions, np.array([1, 1]))
    assert found.answered.tolist() == [[True, False], [True, True]]
    assert found.predicted.tolist() == [[1, node_class.NO_CLASS], [0, 0]]
    assert found.right.tolist() == [[True, False], [False, False]]
    assert found.confidence.tolist() == [[0.75, 0], [0.5, 1]]
    losses = [-math.log(p) for p in (0.75, 1, 0.5, node_class.LEAST_PROBABILITY)]
    assert found.loss.ravel().tolist() == pytest.approx(losses)


@pytest.mark.parametrize("classes", [0, 2])
def test_a_class_that_is_unknown_has_the_greatest_loss(classes: int) -> None:
    found = node_class.score(np.full((1, 1, classes), 0.5, np.float32), np.array([2]))
    assert found.answered.all()
    assert not found.right.any()
    assert found.loss.item() == pytest.approx(-math.log(node_class.LEAST_PROBABILITY))


def test_a_member_without_an_answer_has_no_class_and_no_part_in_the_groups() -> None:
    predictions = saying([[2, 1, 1], [0, 1, 1]])
    predictions[:, 1:] = NAN
    assert node_class.predicted_classes(predictions).tolist() == [[2, -1, -1], [0, -1, -1]]
    assert node_class.group_classes(predictions).tolist() == [2, 0]


def test_teachers_predict_the_class_of_their_weighted_mean() -> None:
    teaching = np.array([[0, 0.4, 0.6], [1, 0, 0], [0, 0, 0]], np.float32)
    assert node_class.taught_classes(saying([[0, 1, 2]]), teaching)[:, :2].tolist() == [[2, 0]]
