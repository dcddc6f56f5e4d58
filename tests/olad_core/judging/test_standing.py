from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olad_core.judging.standing import IMAGINED, LATELY, LOST, Standing
from tests.olad_core.judging.predictions import saying

MEMORY = 200.0
NAN = math.nan


def most(classes: list[int]) -> int:
    """The class that students of equal confidence predict together."""
    return int(np.bincount(classes, minlength=3).argmax())


def plain(nodes: list[list[int]], labels: list[int], student: int) -> float:
    """A student's standing after nodes that were first predicted and then labelled."""
    seen = apart = differed = balance = 0.0
    for classes, label in zip(nodes, labels, strict=True):
        own, group = classes[student], most(classes)
        seen = 1 + math.exp(-1 / LATELY) * seen
        apart = (own != group) + math.exp(-1 / LATELY) * apart
        differed = (own != group) + math.exp(-1 / MEMORY) * differed
        balance = (own == label) - (group == label) + math.exp(-1 / MEMORY) * balance
    return (balance - LOST * IMAGINED) / (differed + IMAGINED) * apart / seen


nodes_and_labels = st.lists(
    st.tuples(st.lists(st.integers(0, 2), min_size=3, max_size=3), st.integers(0, 2)), min_size=1, max_size=40
)


class TestExpected:
    def test_nothing_is_known_before_anything_was_observed(self) -> None:
        standing = Standing(2, MEMORY)
        standing.compare(saying([[0, 1]]), np.array([0]))
        assert np.isnan(standing.expected()).all()

    def test_without_labels_a_student_loses_by_differing_from_its_group(self) -> None:
        standing = Standing(3, MEMORY)
        standing.observe(saying([[0, 0, 1], [0, 0, 0], [1, 2, 2], [0, 0, 0]] * 1000))
        np.testing.assert_allclose(standing.expected(), [-LOST / 4, 0, -LOST / 4], atol=2e-3)

    def test_with_labels_a_student_that_is_right_where_it_differs_stands_above_its_group(self) -> None:
        standing = Standing(3, MEMORY)
        standing.observe(saying([[0, 1, 1], [1, 1, 2]] * 500))
        standing.compare(saying([[0, 1, 1], [1, 1, 2]] * 500), np.zeros(1000, np.int64))
        first, second, third = standing.expected()
        assert first > second == 0 > third

    def test_predictions_of_now_weigh_what_old_labels_showed(self) -> None:
        standing = Standing(3, MEMORY)
        standing.compare(saying([[0, 1, 1], [1, 1, 0]] * 500), np.ones(1000, np.int64))
        standing.observe(saying([[0, 1, 1]] * 10 + [[1, 1, 0]] * 30))
        first, _, third = standing.expected()
        assert first == pytest.approx(third / 3, rel=0.2)

    @given(nodes_and_labels)
    def test_is_that_of_one_node_after_the_other_in_plain_python(self, pairs: list[tuple[list[int], int]]) -> None:
        nodes, labels = [classes for classes, _ in pairs], [label for _, label in pairs]
        standing = Standing(3, MEMORY)
        for start in range(0, len(nodes), 7):
            piece = slice(start, start + 7)
            standing.observe(saying(nodes[piece]))
            standing.compare(saying(nodes[piece]), np.array(labels[piece]))
        expected = [plain(nodes, labels, student) for student in range(3)]
        np.testing.assert_allclose(standing.expected(), expected, atol=1e-9)

    def test_a_student_that_predicts_no_number_differs_and_the_others_are_the_group(self) -> None:
        predicted = saying([[1, 2, 1]] * 20)
        predicted[:, 0] = NAN
        predicted[:10, 1] = saying([[1]] * 10)[:, 0]
        standing = Standing(3, MEMORY)
        standing.observe(predicted)
        standing.compare(predicted, np.ones(20, np.int64))
        spoilt, half, whole = standing.expected()
        assert spoilt < half < whole == 0


def test_told_to_forget_it_follows_labels_that_come_sooner() -> None:
    one, other = Standing(3, MEMORY), Standing(3, MEMORY)
    for standing in (one, other):
        standing.observe(saying([[0, 1, 1]]))
        standing.compare(saying([[0, 1, 1]] * 500), np.ones(500, np.int64))
    other.forget(10)
    for standing in (one, other):
        standing.compare(saying([[0, 1, 1]] * 50), np.zeros(50, np.int64))
    assert other.expected()[0] > 0 > one.expected()[0]


def test_nothing_to_hear_or_compare_changes_nothing() -> None:
    standing = Standing(2, MEMORY)
    standing.observe(saying([[0, 1]]))
    before = standing.expected()
    standing.observe(np.empty((0, 2, 3), np.float32))
    standing.compare(np.empty((4, 2, 0), np.float32), np.zeros(4, np.int64))
    np.testing.assert_array_equal(standing.expected(), before)


def test_goes_on_from_its_state() -> None:
    one, other = Standing(2, MEMORY), Standing(2, MEMORY)
    one.observe(saying([[0, 1], [1, 1]]))
    one.compare(saying([[0, 1], [1, 1]]), np.array([0, 1]))
    other.restore(one.state())
    for standing in (one, other):
        standing.observe(saying([[2, 1]]))
        standing.compare(saying([[2, 1]]), np.array([1]))
    for name, array in one.state().items():
        assert array.tobytes() == other.state()[name].tobytes()
