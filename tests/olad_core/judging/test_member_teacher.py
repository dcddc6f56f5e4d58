"""A member as a teacher: what it predicted at arrival is kept, and labels show whom it is ahead of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from olad_core.judging.member_teacher import KEPT, MemberTeacher
from tests.olad_core.judging.predictions import saying


def member() -> MemberTeacher:
    return MemberTeacher(students=2, memory=200.0)


def sure(classes: list[int]) -> npt.NDArray[np.float32]:
    """Probabilities ``[n, 3]`` of a member that is quite sure of these classes."""
    return saying([[one] for one in classes])[:, 0]


class TestKept:
    def test_what_was_predicted_at_arrival_is_known_by_the_arrival(self) -> None:
        teacher = member()
        teacher.remember(np.array([4, 7, 9]), sure([0, 1, 2]))
        places, logits = teacher.known(np.array([9, 5, 4]), classes=3)
        assert places.tolist() == [0, 2]
        assert logits.argmax(axis=1).tolist() == [2, 0]
        np.testing.assert_allclose(np.exp(logits), sure([2, 0]), rtol=1e-5)

    def test_it_stays_when_the_label_comes(self) -> None:
        teacher = member()
        teacher.remember(np.array([4]), sure([1]))
        teacher.compare(saying([[1, 1]]), sure([1]), np.array([1]))
        assert teacher.known(np.array([4]), classes=3)[0].tolist() == [0]

    def test_nodes_without_an_answer_and_the_oldest_beyond_the_bound_are_not_kept(self) -> None:
        teacher, answers = member(), sure([0] * (KEPT + 2))
        answers[1] = np.nan
        teacher.remember(np.arange(KEPT + 2), answers)
        assert teacher.known(np.arange(KEPT + 2), classes=3)[0].tolist() == list(range(2, KEPT + 2))

    def test_classes_that_came_later_have_hardly_any_probability(self) -> None:
        teacher = member()
        teacher.remember(np.array([1]), sure([0]))
        teacher.remember(np.array([2]), np.full((1, 4), 0.25, np.float32))
        _, logits = teacher.known(np.array([1]), classes=5)
        assert logits.shape == (1, 5)
        assert np.exp(logits[0, 3:]).max() < 1e-20

    def test_all_are_forgotten_where_arrivals_are_counted_anew(self) -> None:
        teacher = member()
        teacher.remember(np.array([4]), sure([1]))
        teacher.forget_arrivals()
        assert len(teacher.known(np.array([4]), classes=3)[0]) == 0


class TestStrength:
    def test_nobody_is_taught_before_the_first_label(self) -> None:
        assert member().strength().tolist() == [0, 0]
        assert member().accuracy() == 0

    def test_only_nodes_on_which_one_of_both_is_right_count(self) -> None:
        teacher = member()
        teacher.compare(saying([[0, 1]] * 30), sure([0] * 30), np.zeros(30, np.int64))
        assert teacher.strength().tolist() == [1, 1]
        assert teacher.accuracy() == 1

    def test_a_member_that_is_right_less_often_does_not_teach(self) -> None:
        teacher = member()
        teacher.compare(saying([[0, 1]] * 30), sure([1] * 30), np.zeros(30, np.int64))
        assert teacher.strength().tolist() == [0, 1]
        assert teacher.accuracy() == 0

    def test_a_member_that_is_a_little_behind_teaches_less(self) -> None:
        teacher = member()
        teacher.compare(saying([[0, 1]] * 4), sure([1] * 4), np.zeros(4, np.int64))
        assert 0 < teacher.strength()[0] < 1

    def test_nodes_that_it_did_not_answer_show_nothing(self) -> None:
        teacher = member()
        answers = sure([0] * 5)
        answers[:] = np.nan
        teacher.compare(saying([[1, 1]] * 5), answers, np.zeros(5, np.int64))
        assert teacher.strength().tolist() == [0, 0]

    def test_told_to_forget_it_follows_what_comes_sooner(self) -> None:
        one, other = member(), member()
        for teacher in (one, other):
            teacher.compare(saying([[1, 1]] * 100), sure([0] * 100), np.zeros(100, np.int64))
        other.forget(10)
        for teacher in (one, other):
            teacher.compare(saying([[0, 0]] * 30), sure([1] * 30), np.zeros(30, np.int64))
        assert other.strength()[0] < one.strength()[0] == 1

    def test_too_much_confidence_is_taken_back(self) -> None:
        teacher = member()
        labels = np.tile([0, 1], 100)
        teacher.compare(saying([[0, 0]] * 200), sure([0] * 200), labels)
        teacher.remember(np.array([1]), sure([0]))
        logits = teacher.known(np.array([1]), classes=3)[1][0]
        shares = np.exp(logits) / np.exp(logits).sum()
        assert shares[0] < 0.75


class TestState:
    def test_a_restored_one_is_the_same(self) -> None:
        one, other = member(), member()
        one.remember(np.array([4, 7]), sure([0, 1]))
        one.compare(saying([[0, 1]] * 9), sure([0] * 9), np.zeros(9, np.int64))
        other.restore(one.state())
        for name, array in one.state().items():
            np.testing.assert_array_equal(array, other.state()[name], err_msg=name)
        np.testing.assert_array_equal(one.known(np.array([7]), 3)[1], other.known(np.array([7]), 3)[1])

    @pytest.mark.parametrize("name", ["paired", "right", "temperature/log", "kept/table"])
    def test_what_is_none_is_refused(self, name: str) -> None:
        teacher = member()
        teacher.remember(np.array([4]), sure([0]))
        state = teacher.state()
        with pytest.raises(ValueError, match=f"teachers/{name.partition('/table')[0]}"):
            member().restore(state | {name: state[name] - 5 if name == "kept/table" else state[name].repeat(2)})
