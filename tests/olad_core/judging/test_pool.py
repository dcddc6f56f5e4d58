from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.judging.hedge import brier_scores
from olad_core.judging.pool import MOST_CELLS, MOST_NODES, Pool
from olad_core.judging.pool_weights import PoolWeights

Rows = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float32]
BATCH = 40


def members(
    seed: int, nodes: int, skills: tuple[float, ...], classes: int = 3, sharpness: float = 1.0
) -> tuple[Probabilities, Rows]:
    """Predictions ``[n, G, C]`` by members that know the truth more or less well, with errors of their own."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, nodes)
    truth = np.eye(classes)[labels][:, None, :]
    logits = sharpness * (np.array(skills)[:, None] * truth + random.normal(size=(nodes, len(skills), classes)))
    powers = np.exp(logits)
    return (powers / powers.sum(axis=2, keepdims=True)).astype(np.float32), labels


def learned(pool: Pool, probabilities: Probabilities, labels: Rows) -> Pool:
    for first in range(0, len(labels), BATCH):
        pool.add(probabilities[first : first + BATCH], labels[first : first + BATCH])
        pool.fit()
    return pool


def followed(pool: Pool, probabilities: Probabilities, labels: Rows, batch: int = BATCH) -> npt.NDArray[np.float64]:
    """Brier scores ``[n, 4]`` of pool, mean, best member and group, each predicting before it learns."""
    scores = []
    for first in range(0, len(labels), batch):
        part, truth = probabilities[first : first + batch], labels[first : first + batch]
        weights = pool.weights()
        predicted = np.concatenate([weights.experts(part), weights.combine(part)[:, None]], axis=1)
        ones = np.ones(predicted[:, 0].shape)
        scores.append(np.stack([brier_scores(predicted[:, k], truth, ones) for k in range(4)], axis=1))
        pool.add(part, truth)
        if first % BATCH == 0:
            pool.fit()
    return np.concatenate(scores)


class TestWeights:
    def test_are_a_geometric_mean_before_the_first_label(self) -> None:
        probabilities, _ = members(0, 50, (1.0, 2.0, 0.0))
        pooled = PoolWeights.of_equals(3).experts(probabilities)[:, 0]
        geometric = np.exp(np.log(probabilities.astype(np.float64) + 1e-3 / 3).mean(axis=1))
        np.testing.assert_allclose(pooled, geometric / geometric.sum(axis=1, keepdims=True), rtol=1e-6)

    @given(st.integers(0, 2**16), st.permutations(range(4)), st.permutations(range(3)))
    @settings(max_examples=12, deadline=None)
    def test_do_not_depend_on_the_order_of_classes_or_members(
        self, seed: int, classes: list[int], order: list[int]
    ) -> None:
        probabilities, labels = members(seed, 200, (0.5, 1.0, 2.0), classes=4)
        pool = learned(Pool(3), probabilities, labels)
        other = learned(Pool(3), probabilities[:, order][:, :, classes], np.argsort(classes)[labels])
        np.testing.assert_allclose(other.weights().exponents, pool.weights().exponents[order], atol=1e-7)
        expected = pool.weights().combine(probabilities)[:, classes]
        np.testing.assert_allclose(other.weights().combine(probabilities[:, order][:, :, classes]), expected, atol=1e-6)

    @given(st.integers(0, 2**16))
    @settings(max_examples=12, deadline=None)
    def test_give_probabilities_whatever_members_answer(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        probabilities, labels = members(seed, 300, (0.5, 1.0, 2.0), sharpness=30.0)
        probabilities[random.random((300, 3)) < 0.3] = np.nan
        weights = learned(Pool(3), probabilities, labels).weights()
        combined = weights.combine(probabilities)
        nobody = np.asarray(np.isnan(probabilities).any(axis=2)).all(axis=1)
        assert np.isnan(combined[nobody]).all()
        assert (combined[~nobody] >= 0).all()
        np.testing.assert_allclose(combined[~nobody].sum(axis=1), 1, atol=1e-5)

    def test_of_columns_that_stand_for_several_classes_are_those_of_the_classes(self) -> None:
        probabilities, labels = members(1, 300, (0.5, 2.0), classes=6)
        probabilities[:, :, 3:] = probabilities[:, :, 3:].mean(axis=2, keepdims=True)
        together = probabilities[:, :, :4]
        counts = np.tile([1.0, 1.0, 1.0, 3.0], (300, 1))
        pool, other = Pool(2), Pool(2)
        pool.add(probabilities, labels)
        other.add(together, np.minimum(labels, 3), counts)
        pool.fit()
        other.fit()
        np.testing.assert_allclose(other.weights().exponents, pool.weights().exponents, rtol=1e-6)
        expected = pool.weights().combine(probabilities)[:, :4]
        np.testing.assert_allclose(other.weights().combine(together, counts), expected, rtol=1e-4)


class TestGuard:
    @given(
        st.integers(0, 2**16),
        st.tuples(*[st.floats(-3, 3)] * 3),
        st.floats(0.1, 20),
        st.sampled_from([1, 40, 300]),
    )
    @settings(max_examples=6, deadline=None)
    def test_keeps_the_group_near_the_best_of_three(
        self, seed: int, skills: tuple[float, float, float], sharpness: float, period: int
    ) -> None:
        """Who is skilled changes all the time, for the worst of the members at random."""
        probabilities, labels = members(seed, 300, skills, sharpness=sharpness)
        random = np.random.default_rng(seed)
        order = np.stack([random.permutation(3) for _ in range(300 // period + 1)])
        probabilities = np.take_along_axis(probabilities, order[np.arange(300) // period][:, :, None], axis=1)
        scores = followed(Pool(3, memory=1e9), probabilities, labels, batch=1).sum(axis=0)
        assert (scores[3] - scores[:3] <= [2.9, 2.9, 15.7]).all()

    def test_drops_a_pool_that_is_wrong(self) -> None:
        """Members lie in the first half and tell the truth in the second: the exponents must change sign."""
        probabilities, labels = members(0, 1200, (2.0, 2.0, 2.0))
        lies = labels.copy()
        lies[:600] = (labels[:600] + 1) % 3
        scores = followed(Pool(3), probabilities, lies)[600:].mean(axis=0)
        assert scores[3] < scores[0]


class TestFit:
    def test_finds_who_is_right(self) -> None:
        probabilities, labels = members(2, 2000, (0.0, 3.0, 0.0))
        weights = learned(Pool(3), probabilities, labels).weights()
        assert weights.best == 1
        assert weights.exponents[1] > 0.8
        assert np.abs(weights.exponents[[0, 2]]).max() < 0.15

    def test_is_better_than_the_mean_where_members_differ(self) -> None:
        probabilities, labels = members(3, 3000, (0.0, 2.0, 0.0, 0.0), sharpness=2.0)
        scores = followed(Pool(4), probabilities, labels)[1000:].mean(axis=0)
        assert scores[3] < scores[1] - 0.1

    def test_stays_near_the_geometric_mean_while_few_labels_tell_members_apart(self) -> None:
        probabilities, labels = members(4, 5, (1.0, 1.0, 1.0))
        weights = learned(Pool(3), probabilities, labels).weights()
        np.testing.assert_allclose(weights.exponents, 1 / 3, atol=0.15)

    def test_leans_on_a_member_that_is_far_ahead_after_few_labels(self) -> None:
        probabilities, labels = members(5, 40, (0.0, 3.0, 0.0, 0.0, 0.0, 0.0))
        weights = learned(Pool(6), probabilities, labels).weights()
        assert weights.exponents[1] > 0.9
        assert np.abs(np.delete(weights.exponents, 1)).max() < 0.1

    @pytest.mark.parametrize("sharpness", [1e-3, 1.0, 1e3])
    def test_ends_with_finite_exponents(self, sharpness: float) -> None:
        probabilities, labels = members(5, 800, (1.0, -1.0, 0.0), sharpness=min(sharpness, 100))
        probabilities[:, 2] = np.eye(3)[(labels + 1) % 3] if sharpness > 1 else 1 / 3
        weights = learned(Pool(3), probabilities, labels).weights()
        assert np.isfinite(weights.exponents).all()
        assert np.abs(weights.exponents).max() < 20

    def test_a_member_without_answers_changes_nothing_for_the_others(self) -> None:
        probabilities, labels = members(6, 800, (1.0, 2.0))
        absent = np.concatenate([probabilities, np.full((800, 1, 3), np.nan, np.float32)], axis=1)
        two, three = learned(Pool(2), probabilities, labels), learned(Pool(3), absent, labels)
        both = two.weights().combine(probabilities), three.weights().combine(absent)
        np.testing.assert_allclose(both[1], both[0], atol=0.05)

    def test_a_member_that_begins_anew_is_judged_by_its_new_answers(self) -> None:
        probabilities, labels = members(7, 2400, (0.5, 0.5, -3.0))
        pool = learned(Pool(3), probabilities[:1200], labels[:1200])
        assert pool.weights().exponents[2] < 0
        pool.renew(2)
        better, labels = members(9, 200, (0.5, 0.5, 3.0))
        assert learned(pool, better, labels).weights().exponents[2] > 0.3

    def test_forgetting_lets_new_labels_count_for_more(self) -> None:
        before, labels = members(10, 2000, (2.0, 0.0))
        after, more = members(11, 120, (0.0, 2.0))
        kept, forgotten = (learned(Pool(2), before, labels) for _ in range(2))
        forgotten.forget(20)
        first = [learned(pool, after, more).weights().exponents for pool in (kept, forgotten)]
        assert first[1][1] > first[0][1] + 0.1

    def test_labels_of_unknown_classes_teach_nothing(self) -> None:
        probabilities, _ = members(12, 40, (1.0, 2.0))
        pool = Pool(2)
        pool.add(probabilities, np.full(40, 3))
        pool.add(np.zeros((5, 2, 0), np.float32), np.zeros(5, np.int64))
        pool.add(np.full((5, 2, 3), np.nan, np.float32), np.zeros(5, np.int64))
        assert len(pool.state()["labels"]) == 0


class TestState:
    def test_a_restored_pool_goes_on_with_the_same_bytes(self) -> None:
        probabilities, labels = members(13, 900, (1.0, 2.0, 0.0))
        pool = learned(Pool(3), probabilities[:500], labels[:500])
        pool.forget(100)
        other = Pool(3)
        other.restore(pool.state())
        for one in (pool, other):
            learned(one, probabilities[500:], labels[500:])
        assert pool.weights().combine(probabilities).tobytes() == other.weights().combine(probabilities).tobytes()
        assert all(pool.state()[name].tobytes() == array.tobytes() for name, array in other.state().items())

    def test_is_bounded(self) -> None:
        pool = Pool(2)
        for seed in range(3):
            pool.add(*members(seed, 1500, (1.0, 2.0)))
        assert len(pool.state()["labels"]) == MOST_NODES
        wide, labels = members(3, 3000, (1.0, 2.0), classes=64)
        pool.add(wide, labels)
        assert pool.state()["probabilities"].size <= MOST_CELLS
