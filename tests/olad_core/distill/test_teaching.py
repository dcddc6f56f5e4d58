import numpy as np
import pytest

from olad_core.distill.teaching import better_teach

NAN = float("nan")


@pytest.mark.parametrize(
    ("scores", "teaching"),
    [
        ([0.7, 0.9, 0.8], [[0, 0.5, 0.5], [0, 0, 0], [0, 1, 0]]),
        ([0.5, 0.5], [[0, 0], [0, 0]]),
        ([NAN, NAN], [[0, 0], [0, 0]]),
        ([NAN, 0.5, 0.6], [[0, 0, 0], [0, 0, 1], [0, 0, 0]]),
        ([0.4], [[0]]),
    ],
)
def test_only_those_who_score_higher_teach(scores: list[float], teaching: list[list[float]]) -> None:
    found = better_teach(np.array(scores))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(teaching, np.float32))
