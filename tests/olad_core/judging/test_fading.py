import numpy as np
import pytest

from olad_core.judging.fading import Fading


def test_a_node_weighs_less_for_every_later_one_that_counts_in_its_column() -> None:
    counted = np.array([[True, True], [True, False], [True, True]])
    keep = np.exp(-1 / 10)
    np.testing.assert_allclose(Fading(10).weights(counted), [[keep**2, keep], [keep, 0], [1, 1]])
    np.testing.assert_allclose(Fading(10).kept(counted), [keep**3, keep**2])


@pytest.mark.parametrize("count", [1, 7, 40])
def test_shortened_sums_weigh_as_much_as_so_many_nodes(count: int) -> None:
    fading = Fading(10)
    weight = fading.weights(np.ones((100, 1), dtype=bool)).sum(axis=0)
    few = fading.weights(np.ones((count, 1), dtype=bool)).sum(axis=0)
    np.testing.assert_allclose(weight * fading.shortened(weight, count), few)
    assert fading.shortened(0.5 * few, count).tolist() == [1.0]
