from dataclasses import replace

import numpy as np
import pytest

from olad_core.judging.metric import ACCURACY
from olad_core.judging.pool_weights import PoolWeights
from olad_core.serving.choice import GROUP_AHEAD, Candidates, choose_best, expecting_group
from olad_core.serving.combination import Combination

NAN = float("nan")


def choose(standing: list[float], current: int | None) -> int:
    return choose_best(np.array(standing), np.array([3.0, 1.0, 2.0]), current, margin=0.01)


def test_the_best_is_chosen_at_first() -> None:
    assert choose([0.7, 0.6, 0.8], None) == 2


@pytest.mark.parametrize(("challenger", "chosen"), [(0.80, 0), (0.805, 0), (0.82, 2)])
def test_a_challenger_must_be_better_by_the_margin(challenger: float, chosen: int) -> None:
    assert choose([0.8, 0.1, challenger], 0) == chosen


def test_two_equals_do_not_alternate() -> None:
    served = [0]
    for step in range(20):
        noise = 0.004 * (-1) ** step
        served.append(choose([0.8 + noise, 0.8 - noise, 0.5], served[-1]))
    assert set(served) == {0}


@pytest.mark.parametrize("standing", [[0.1, 0.2, 0.15, 0.9], [NAN] * 4])
def test_the_first_is_a_student_where_the_group_can_be_served(standing: list[float]) -> None:
    assert choose(standing, None) == 1


@pytest.mark.parametrize(
    ("current", "penalty", "chosen"),
    [
        (0, [0.0, 0.0, 0.0, 0.0], 3),
        (0, [0.0, 0.0, 0.0, 0.008], 0),
        (3, [0.01, 0.0, 0.02, 0.03], 1),
        (3, [0.0, 0.0, 0.0, 0.015], 3),
    ],
)
def test_while_nothing_is_known_the_group_is_served_where_it_can_be_kept_fresh(
    current: int, penalty: list[float], chosen: int
) -> None:
    losses = np.array([3.0, 1.0, 2.0])
    found = choose_best(np.full(4, NAN), losses, current, margin=0.005, news=False, penalty=np.array(penalty))
    assert found == chosen


@pytest.mark.parametrize("standing", [[NAN, NAN, NAN], [0.9, NAN, 0.5]])
def test_while_nothing_is_known_the_training_loss_decides_and_then_stands(standing: list[float]) -> None:
    assert choose(standing, None) == 1
    assert choose(standing, 2) == 2


def candidates(standing: list[float], ahead: list[bool] | None = None) -> Candidates:
    return Candidates(
        names=("gcn", "sage"),
        students=(),
        standing=np.array(standing),
        metric=ACCURACY,
        training_loss=np.zeros(2),
        temperatures=np.ones(2),
        classes=("a", "b"),
        evidence=(0, 0),
        ahead=None if ahead is None else np.array(ahead),
        combination=Combination(PoolWeights.of_equals(2)),
    )


@pytest.mark.parametrize(
    ("standing", "current", "ahead", "lost", "expected"),
    [
        ([-0.02, -0.03, -0.3], 0, [False, False, False], False, -0.02 + GROUP_AHEAD),
        ([-0.02, -0.03, -0.3], None, None, False, -0.02 + GROUP_AHEAD),
        ([-0.02, -0.03, -0.3], 2, [False, False, False], False, -0.02 + GROUP_AHEAD),
        ([-0.02, -0.03, 0.1], 0, [False, False, False], False, 0.1),
        ([-0.02, -0.03, -0.3], 2, [False, True, False], False, -0.3),
        ([-0.02, -0.03, -0.3], 0, [False, False, False], True, -0.3),
    ],
)
def test_the_group_stands_above_its_students_until_labels_show_another_to_be_better(
    standing: list[float], current: int | None, ahead: list[bool] | None, lost: bool, expected: float
) -> None:
    found = expecting_group(candidates(standing, ahead), current, group_lost=lost)
    assert found.standing.tolist() == pytest.approx([*standing[:2], expected])


def test_nothing_is_expected_of_the_group_where_it_cannot_be_served_or_nothing_is_known() -> None:
    alone = replace(candidates([-0.02, -0.03]), combination=None)
    unknown = candidates([NAN, NAN, NAN])
    assert expecting_group(alone, 0, group_lost=False) is alone
    assert expecting_group(unknown, 0, group_lost=False) is unknown
