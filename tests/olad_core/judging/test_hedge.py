from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.judging.hedge import LEARNING_RATE, Hedge, brier_scores

Floats = npt.NDArray[np.float64]
PRIOR = (0.7, 0.2, 0.1)


def discounted(losses: Floats, memory: float) -> Floats:
    ages = np.arange(len(losses))[::-1]
    total: Floats = (np.exp(-ages / memory)[:, None] * losses).sum(axis=0)
    return total


def excess(experts: Floats, labels: npt.NDArray[np.int64], memory: float) -> Floats:
    """The mixture's discounted score less each expert's ``[K]``; the experts predict ``[n, K, C]``."""
    hedge = Hedge(PRIOR, memory)
    scores = []
    for predictions, label in zip(experts, labels, strict=True):
        mixed = hedge.shares() @ predictions
        every = np.concatenate([predictions, mixed[None]])
        found = brier_scores(every, np.full(len(every), label), np.ones(every.shape))
        hedge.add(found[None, :-1])
        scores.append(found)
    total = discounted(np.stack(scores), memory)
    return np.asarray(total[-1] - total[:-1])


class TestBound:
    @given(st.integers(0, 2**16), st.floats(0.02, 3.0), st.sampled_from([20.0, 1000.0, 1e9]))
    @settings(max_examples=40, deadline=None)
    def test_holds_for_random_experts(self, seed: int, sharpness: float, memory: float) -> None:
        random = np.random.default_rng(seed)
        experts = random.dirichlet(np.full(3, sharpness), size=(300, 3))
        labels = random.integers(0, 3, 300)
        assert (excess(experts, labels, memory) <= -np.log(PRIOR) / LEARNING_RATE + 1e-9).all()

    @pytest.mark.parametrize("memory", [30.0, 1e9])
    def test_holds_where_the_best_expert_is_another_one_all_the_time(self, memory: float) -> None:
        nodes = 900
        labels = np.zeros(nodes, np.int64)
        experts = np.zeros((nodes, 3, 2))
        experts[:, :, 1] = 1
        right = np.arange(nodes) // 100 % 3
        experts[np.arange(nodes), right] = (1, 0)
        assert (excess(experts, labels, memory) <= -np.log(PRIOR) / LEARNING_RATE + 1e-9).all()


class TestHedge:
    def test_begins_at_its_prior(self) -> None:
        np.testing.assert_allclose(Hedge(PRIOR, 100).shares(), PRIOR)

    @given(st.integers(1, 59))
    def test_takes_batches_as_it_takes_single_nodes(self, cut: int) -> None:
        losses = np.random.default_rng(0).random((60, 3))
        whole, parts = Hedge(PRIOR, 50), Hedge(PRIOR, 50)
        whole.add(losses)
        parts.add(losses[:cut])
        parts.add(losses[cut:])
        np.testing.assert_allclose(parts.shares(), whole.shares(), rtol=1e-12)

    def test_follows_who_is_better_now(self) -> None:
        hedge = Hedge(PRIOR, 100)
        hedge.add(np.tile([0.0, 1.0, 1.0], (1000, 1)))
        assert hedge.shares()[0] > 0.99
        hedge.add(np.tile([1.0, 0.0, 1.0], (1000, 1)))
        assert hedge.shares()[1] > 0.99
