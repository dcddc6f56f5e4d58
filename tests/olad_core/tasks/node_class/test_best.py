from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from olad_core.tasks import node_class

# Few values, so that most are equal to another one.
SHARES = st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0])
SHAPES = st.tuples(st.integers(0, 4), st.integers(3, 12))
MATRICES = SHAPES.flatmap(lambda shape: arrays(np.float32, shape, elements=SHARES))


@given(MATRICES, st.integers(1, 3))
def test_the_best_are_the_first_of_a_stable_sort(probabilities: npt.NDArray[np.float32], most: int) -> None:
    classes, best = node_class.best_classes(probabilities, most)
    expected = np.argsort(-probabilities, axis=1, kind="stable")[:, :most]
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_array_equal(best, np.take_along_axis(probabilities, expected, axis=1))


def test_a_row_without_numbers_stays_one() -> None:
    assert np.isnan(node_class.best_classes(np.full((1, 40), np.nan, np.float32))[1]).all()


def test_too_few_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="2 classes are fewer than 3"):
        node_class.best_classes(np.zeros((1, 2), np.float32), 3)
