"""The interval of a paired difference covers the true one, also where neighbouring arrivals are alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from olad_core.judging.paired import Difference, Outcomes, differences
from olad_core.tasks.class_counts import count_classes, macro_f1

TRUE = 0.05
STREAMS = 300


def test_the_interval_covers_the_true_difference() -> None:
    """200 streams of 2,000 arrivals, whose difficulty drifts slowly and for both alike."""
    random = np.random.default_rng(1)
    covered = excludes_zero = 0
    for _ in range(200):
        truth = np.zeros(2000, dtype=np.int64)
        drift = 0.1 * np.sin(np.arange(2000) / 60 + random.uniform(0, 6))
        one, reference = (
            Outcomes((random.random(2000) >= share + drift).astype(np.int64), np.zeros(2000))
            for share in (0.7 + TRUE, 0.7)
        )
        found = differences(one, reference, truth).accuracy
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= TRUE <= found.high
        excludes_zero += found.low > 0
    assert 180 <= covered <= 199
    assert excludes_zero > 160


def pair(random: np.random.Generator, count: int, memory: float) -> tuple[Outcomes, Outcomes, npt.NDArray[np.int64]]:
    """Two contestants on arrivals of three unevenly frequent classes; one of them is right more often by 0.08.

    Which of the two is the better one for an arrival depends on a state that lasts: after one more arrival it is the
    same with the probability ``memory``. Both rank class 0.
    """
    truth = random.choice(3, count, p=[0.2, 0.3, 0.5])
    renewed = np.flatnonzero(random.random(count) >= memory)
    since = renewed[np.maximum(np.searchsorted(renewed, np.arange(count), side="right") - 1, 0)] if len(renewed) else 0
    state = random.random(count)[since] < 0.5
    found = []
    for share in (np.where(state, 0.9, 0.5), np.where(state, 0.66, 0.58)):
        right = random.random(count) < share
        predicted = np.where(right, truth, (truth + random.integers(1, 3, count)) % 3)
        rank = random.normal(size=count) + 1.5 * (predicted == 0)
        found.append(Outcomes(predicted, random.gamma(2.0, np.where(right, 0.2, 0.8)), rank))
    return found[0], found[1], truth


METRICS = ("accuracy", "log_loss", "macro_f1", "average_precision")


@pytest.mark.parametrize(("count", "memory"), [(100, 0.0), (1000, 0.0), (1000, 0.8)])
def test_the_interval_of_every_score_covers_the_true_difference(count: int, memory: float) -> None:
    """In 95 of 100 streams, whether an arrival depends on the five before it or not."""
    random = np.random.default_rng(3)
    one, reference, truth = pair(random, 200_000, memory)
    true = differences(one, reference, truth, ranked=0)
    covered = dict.fromkeys(METRICS, 0)
    for _ in range(STREAMS):
        one, reference, truth = pair(random, count, memory)
        found = differences(one, reference, truth, ranked=0)
        for name in METRICS:
            interval, value = getattr(found, name), getattr(true, name).value
            assert isinstance(interval, Difference)
            assert interval.low is not None
            assert interval.high is not None
            covered[name] += interval.low <= value <= interval.high
    for name, times in covered.items():
        # Three standard deviations of what chance leaves, and two points that few arrivals cost.
        assert 0.89 <= times / STREAMS <= 0.99, (name, times)


def test_values_are_the_differences_of_the_scores_themselves() -> None:
    random = np.random.default_rng(2)
    truth = random.integers(0, 3, 500)
    one, reference = (
        Outcomes(np.where(random.random(500) < 0.1, -1, random.integers(0, 3, 500)), random.random(500))
        for _ in range(2)
    )
    both = (one.predicted >= 0) & (reference.predicted >= 0)

    def f1(own: Outcomes) -> float:
        counts = count_classes(own.predicted[both, None], truth[both], np.ones((both.sum(), 1)), 3)
        return float(macro_f1(counts)[0])

    found = differences(one, reference, truth)
    assert found.arrivals == both.sum()
    assert found.accuracy is not None
    assert found.log_loss is not None
    assert found.macro_f1 is not None
    right = [(own.predicted == truth)[both].mean() for own in (one, reference)]
    np.testing.assert_allclose(found.accuracy.value, right[0] - right[1])
    np.testing.assert_allclose(found.log_loss.value, (one.loss - reference.loss)[both].mean())
    np.testing.assert_allclose(found.macro_f1.value, f1(one) - f1(reference))


def test_few_arrivals_have_no_interval_and_none_have_no_difference() -> None:
    few = Outcomes(np.zeros(99, dtype=np.int64), np.zeros(99))
    found = differences(few, few, np.zeros(99, dtype=np.int64)).accuracy
    assert found is not None
    assert (found.value, found.low, found.high) == (0.0, None, None)
    silent = Outcomes(np.full(99, -1), np.zeros(99))
    assert differences(few, silent, np.zeros(99, dtype=np.int64)).accuracy is None
