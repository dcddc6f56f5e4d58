from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from olad_core.judging.drift import Drift, DriftWatch


def errors(*parts: tuple[float, int], seed: int = 0) -> npt.NDArray[np.bool_]:
    random = np.random.default_rng(seed)
    return np.concatenate([random.random(count) < share for share, count in parts])


def fed(watch: DriftWatch, stream: npt.NDArray[np.bool_], batch: int = 16) -> list[Drift]:
    batches = [stream[first : first + batch] for first in range(0, len(stream), batch)]
    return [drift for part in batches if (drift := watch.add(part))]


@pytest.mark.parametrize("batch", [1, 16, 2000])
def test_one_rise_is_one_drift_however_often_the_window_is_cut(batch: int) -> None:
    found = fed(DriftWatch(0.002), errors((0.1, 600), (0.7, 400)), batch)
    assert [drift.is_new for drift in found] == [True] + [False] * (len(found) - 1)
    assert found[0].before == pytest.approx(0.1, abs=0.05)
    assert found[-1].after == pytest.approx(0.7, abs=0.25)
    assert found[-1].width < 100


def test_two_rises_are_two() -> None:
    found = fed(DriftWatch(0.002), errors((0.0, 500), (0.4, 500), (1.0, 500)))
    assert sum(drift.is_new for drift in found) == 2


def test_learning_is_no_drift() -> None:
    assert fed(DriftWatch(0.002), errors((0.9, 500), (0.3, 500), (0.05, 500))) == []


@pytest.mark.parametrize("cut", [10, 620, 640, 700])
def test_goes_on_from_its_state(cut: int) -> None:
    stream = errors((0.1, 600), (0.7, 400))
    one, other = DriftWatch(0.002), DriftWatch(0.002)
    fed(one, stream[:cut], batch=1)
    other.restore(one.state())
    assert fed(other, stream[cut:], batch=1) == fed(one, stream[cut:], batch=1)
