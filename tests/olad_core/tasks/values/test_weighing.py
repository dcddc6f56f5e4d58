from __future__ import annotations

import numpy as np
import pytest

from olad_core.tasks.values.weighing import Weighing


@pytest.mark.filterwarnings("error")
def test_a_prediction_without_weight_that_loses_far_less_breaks_nothing() -> None:
    weighing = Weighing(3)
    weighing.losses[:] = 0.0, 0.001, 500.0
    weighing.gap = 0.005
    assert weighing.weights()[2] == 0.0
    weighing.learn(np.array([20.0, 20.0, 0.0]))
    # Those with weight lost alike, so their mean lost no more than the weights allow for.
    assert weighing.gap == pytest.approx(0.005, rel=1e-3)
