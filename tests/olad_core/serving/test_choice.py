import numpy as np
import pytest

from olad_core.serving.choice import choose_best

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
