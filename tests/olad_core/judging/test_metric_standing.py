from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olad_core.judging.metric import ACCURACY, MACRO_F1, parse_metric
from olad_core.judging.metric_standing import SHARED, F1Gain, LogLossStanding, RankStanding
from olad_core.judging.standing import Standing
from olad_core.judging.standings import Standings
from olad_core.tasks.label_rule import LabelRule
from tests.olad_core.judging.predictions import saying

MEMORY = 1e9
WARM = np.ones(3)
Probabilities = npt.NDArray[np.float32]


def two_classes(shares: list[list[float]]) -> Probabilities:
    """Probabilities ``[n, G, 2]`` of students that give the second class these ``[n, G]``."""
    rare = np.array(shares, dtype=np.float32)
    return np.stack([1 - rare, rare], axis=2)


def plain_gain(nodes: list[tuple[list[int], int, int]], student: int) -> float:
    """Mean over classes of the student's F1 less its group's, each class with its prior, in plain Python."""
    differences = []
    for name in range(3):
        own = [(classes[student], label) for classes, _, label in nodes]
        group = [(predicted, label) for _, predicted, label in nodes]
        support = sum((predicted == name) + (label == name) for predicted, label in own)
        of_group = sum((predicted == name) + (label == name) for predicted, label in group)
        hits = sum(predicted == label == name for predicted, label in own)
        f1 = 2 * sum(predicted == label == name for predicted, label in group) / of_group if of_group else 0.0
        if support + sum(predicted == name for predicted, _ in group):
            differences.append((2 * hits - f1 * support) / (support + SHARED))
    return sum(differences) / len(differences)


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 2), min_size=2, max_size=2), st.integers(0, 2), st.integers(0, 2)),
        min_size=1,
        max_size=30,
    )
)
def test_the_gain_of_macro_f1_is_that_of_counting_in_plain_python(nodes: list[tuple[list[int], int, int]]) -> None:
    gain = F1Gain(2, MEMORY)
    for part in (nodes[:11], nodes[11:]):
        own, group, labels = ([node[place] for node in part] for place in range(3))
        gain.compare(np.array(own).reshape(-1, 2), np.array(group, dtype=np.int64), np.array(labels, dtype=np.int64))
    np.testing.assert_allclose(gain.gained(), [plain_gain(nodes, student) for student in range(2)], atol=1e-7)


class TestLogLoss:
    def test_without_labels_a_student_loses_by_its_divergence_from_the_group(self) -> None:
        standing = LogLossStanding(2, MEMORY)
        assert np.isnan(standing.expected()).all()
        standing.observe(two_classes([[0.5, 0.1]] * 100))
        own = [0.3 * math.log(0.3 / rare) + 0.7 * math.log(0.7 / (1 - rare)) for rare in (0.5, 0.1)]
        np.testing.assert_allclose(standing.expected(), [-own[0], -own[1]], rtol=1e-5)

    def test_many_labels_show_what_is_really_lost(self) -> None:
        standing = LogLossStanding(2, MEMORY)
        predicted = two_classes([[0.5, 0.1]] * 4000)
        standing.observe(predicted)
        standing.compare(predicted, np.zeros(4000, np.int64))
        lost = [math.log(0.7) - math.log(0.5), math.log(0.7) - math.log(0.9)]
        np.testing.assert_allclose(standing.expected(), [-lost[0], -lost[1]], atol=5e-3)

    def test_a_student_without_an_answer_stands_lowest(self) -> None:
        standing = LogLossStanding(2, MEMORY)
        predicted = two_classes([[0.5, 0.4]] * 50)
        predicted[:, 1] = math.nan
        standing.observe(predicted)
        standing.compare(predicted, np.zeros(50, np.int64))
        first, second = standing.expected()
        assert first > second


class TestRank:
    def test_labels_of_the_class_decide_which_ranking_is_the_better(self) -> None:
        standing = RankStanding(2, MEMORY, number=1)
        good, bad = [0.1, 0.2, 0.3, 0.9], [0.9, 0.3, 0.2, 0.1]
        predicted = two_classes([[one, other] for one, other in zip(good, bad, strict=True)] * 100)
        standing.observe(predicted)
        before = standing.expected()
        assert before[0] == pytest.approx(before[1], abs=0.01)
        standing.compare(predicted, np.array([0, 0, 0, 1] * 100))
        first, second = standing.expected()
        assert first > 0 > second

    def test_without_labels_the_ranking_of_the_group_is_expected_to_be_right(self) -> None:
        standing = RankStanding(3, MEMORY, number=1)
        standing.observe(two_classes([[0.1, 0.1, 0.6], [0.6, 0.6, 0.1], [0.3, 0.3, 0.3]] * 50))
        first, second, third = standing.expected()
        assert 0 >= first == second > third

    def test_nothing_is_known_of_a_class_that_nobody_has_seen(self) -> None:
        for number in (None, 5):
            standing = RankStanding(2, MEMORY, number)
            standing.observe(two_classes([[0.1, 0.2]]))
            standing.compare(two_classes([[0.1, 0.2]]), np.array([1]))
            assert np.isnan(standing.expected()).all()


class TestStandings:
    def test_with_balanced_classes_it_is_the_standing_on_accuracy(self) -> None:
        standings, alone = Standings(3, 200.0, None), Standing(3, 200.0)
        predicted, labels = saying([[0, 1, 1], [1, 1, 2], [2, 2, 0]] * 50), np.array([0, 1, 2] * 50)
        standings.observe(predicted, WARM)
        standings.follow_balance(np.bincount(labels).astype(np.float64))
        standings.compare(predicted, labels, WARM, None)
        alone.observe(predicted)
        alone.compare(predicted, labels)
        assert standings.metric == ACCURACY
        assert standings.expected().tobytes() == alone.expected().tobytes()

    def test_with_a_rare_class_the_student_that_finds_it_stands_highest(self) -> None:
        standings = Standings(3, 500.0, None)
        # The first student finds the rare class, at three false alarms each; the others always name the common one.
        nodes, labels = [[1, 0, 0]] * 40 + [[0, 0, 0]] * 460, np.array([1] * 10 + [0] * 490)
        shuffled = np.random.default_rng(0).permutation(500)
        predicted, labels = saying(nodes)[shuffled], labels[shuffled]
        standings.observe(predicted, WARM)
        standings.follow_balance(np.bincount(labels).astype(np.float64))
        standings.compare(predicted, labels, WARM, None)
        assert standings.metric == MACRO_F1
        assert standings.expected().argmax() == 0
        by_accuracy = Standings(3, 500.0, ACCURACY)
        by_accuracy.observe(predicted, WARM)
        by_accuracy.compare(predicted, labels, WARM, None)
        assert by_accuracy.expected().argmin() == 0

    def test_students_are_compared_by_the_labels_that_a_rule_makes(self) -> None:
        # No student thinks the rare class the likeliest; the first one gives it most where it is true.
        shares = [[0.4, 0.1, 0.1]] * 20 + [[0.1, 0.1, 0.3]] * 180
        predicted, labels = two_classes(shares), np.array([1] * 20 + [0] * 180)
        plain, ruled = (Standings(3, 500.0, parse_metric("macro_f1")) for _ in range(2))
        plain.know_classes(["common", "rare"], LabelRule())
        ruled.know_classes(["common", "rare"], LabelRule(thresholds={"rare": 0.25}))
        for standings in (plain, ruled):
            standings.observe(predicted, WARM)
            standings.compare(predicted, labels, WARM, None)
        assert plain.expected().tolist() == [0, 0, 0]
        first, second, third = ruled.expected()
        assert first > second > third

    @pytest.mark.parametrize("declared", [None, "accuracy", "macro_f1", "log_loss", "average_precision:rare"])
    def test_goes_on_from_its_state(self, declared: str | None) -> None:
        metric = parse_metric(declared) if declared else None
        one, other = Standings(2, 50.0, metric), Standings(2, 50.0, metric)
        other.know_classes(["common", "rare", "third"], LabelRule())
        one.know_classes(["common", "rare", "third"], LabelRule())
        support = np.array([190.0, 10.0])
        one.observe(saying([[0, 1], [1, 1]]), WARM[:2])
        one.follow_balance(support)
        one.compare(saying([[0, 1], [1, 1]]), np.array([0, 1]), WARM[:2], None)
        other.restore(one.state())
        for standings in (one, other):
            standings.observe(saying([[2, 1]]), WARM[:2])
            standings.compare(saying([[2, 1]]), np.array([1]), WARM[:2], None)
        assert one.metric == other.metric
        assert np.isfinite(one.expected()).all()
        for name, array in one.state().items():
            assert array.tobytes() == other.state()[name].tobytes(), name

    def test_what_was_counted_of_another_class_is_left_out(self) -> None:
        one = Standings(2, 50.0, parse_metric("average_precision:rare"))
        other = Standings(2, 50.0, parse_metric("average_precision:common"))
        for standings in (one, other):
            standings.know_classes(["common", "rare"], LabelRule())
        one.observe(saying([[0, 1], [1, 1]]), WARM[:2])
        other.restore(one.state())
        assert np.isnan(other.expected()).all()

    @pytest.mark.parametrize("declared", ["macro_f1", "log_loss", "average_precision:rare"])
    def test_told_to_forget_it_follows_labels_that_come_sooner(self, declared: str) -> None:
        one, other = (Standings(3, 500.0, parse_metric(declared)) for _ in range(2))
        first, then = two_classes([[0.9, 0.1, 0.1], [0.1, 0.9, 0.9]] * 250), np.array([1, 0] * 250)
        for standings in (one, other):
            standings.know_classes(["common", "rare"], LabelRule())
            standings.observe(first, WARM)
            standings.compare(first, 1 - then, WARM, None)
        other.forget(10)
        for standings in (one, other):
            standings.compare(first[:60], then[:60], WARM, None)
        assert other.expected()[0] > one.expected()[0]
