"""A forest predicts what the library that grew it predicts."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.graph import Neighbours
from olad_core.linear.table import neighbour_shares
from olad_core.trees.forest import Forest, check_probabilities
from olad_core.trees.growth import Growth, GrowthConfig


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**20), classes=st.integers(2, 5), missing=st.sampled_from([0.0, 0.3, 0.9]))
def test_forest_predicts_what_the_library_predicts(seed: int, classes: int, missing: float) -> None:
    random = np.random.default_rng(seed)
    table = random.normal(size=(80, 6)).astype(np.float32)
    table[random.random(table.shape) < missing] = np.nan
    growth = Growth(table, random.integers(0, classes, 80), classes, 6, GrowthConfig(rounds=4))
    growth.advance(4)
    predicted = growth._booster.predict(xgboost.DMatrix(table, nthread=1))
    np.testing.assert_allclose(growth.forest().probabilities(table), predicted, atol=1e-5)


def test_state_of_a_forest_is_the_forest() -> None:
    random = np.random.default_rng(0)
    table = random.normal(size=(50, 3)).astype(np.float32)
    growth = Growth(table, (table[:, 0] > 0).astype(int), 2, 3, GrowthConfig(rounds=3))
    growth.advance(3)
    forest = growth.forest()
    again = Forest.from_state(forest.state())
    assert again.probabilities(table).tobytes() == forest.probabilities(table).tobytes()
    assert (again.columns, again.classes, again.features) == (3, 2, 3)
    with pytest.raises(KeyError):
        Forest.from_state({})


def test_growing_in_slices_gives_the_same_trees() -> None:
    random = np.random.default_rng(1)
    table, label = random.normal(size=(60, 4)).astype(np.float32), random.integers(0, 3, 60)
    whole, slices = (Growth(table, label, 3, 4, GrowthConfig(rounds=6)) for _ in range(2))
    whole.advance(6)
    while not slices.advance():
        pass
    assert slices.finished
    assert whole.finished
    for name, array in whole.forest().state().items():
        assert array.tobytes() == slices.forest().state()[name].tobytes(), name


def test_shares_that_rounding_leaves_a_little_above_one_are_probabilities() -> None:
    near = Neighbours(np.array([0, 50]), np.zeros(50, np.int64), np.full(50, 0.7, np.float32))
    shares = neighbour_shares(near, np.zeros(1, np.int32), 2)
    assert shares[0, 0] > 1
    check_probabilities("linear/shares", shares)
    with pytest.raises(ValueError, match="linear/shares: holds numbers that are no probabilities"):
        check_probabilities("linear/shares", np.array([[1.5, 0.0]], np.float32))
