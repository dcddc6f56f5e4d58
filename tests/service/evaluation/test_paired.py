"""The interval of a paired difference covers the true one, also where neighbouring arrivals are alike."""

from __future__ import annotations

import numpy as np

from olad_core.tasks.node_class import count_classes, macro_f1
from service.evaluation.paired import Outcomes, differences

TRUE = 0.05


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
