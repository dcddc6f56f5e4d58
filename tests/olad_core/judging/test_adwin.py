from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.judging.adwin import BUCKETS, CHECK_EVERY, Adwin, Cut

DELTA = 0.002
_values = st.floats(0, 1)


def bernoulli(probability: float, count: int, seed: int) -> npt.NDArray[np.float64]:
    return (np.random.default_rng(seed).random(count) < probability).astype(np.float64)


def fed(window: Adwin, values: npt.NDArray[np.float64]) -> list[tuple[int, Cut]]:
    """Cuts with the number of values before them."""
    found = [(number, window.add(value)) for number, value in enumerate(values.tolist())]
    return [(number, cut) for number, cut in found if cut]


@pytest.mark.parametrize("probability", [0.0, 0.02, 0.2, 0.5, 0.9, 1.0])
def test_a_constant_mean_gives_no_more_alarms_than_promised(probability: float) -> None:
    streams, count = 20, 1500
    alarms = sum(len(fed(Adwin(DELTA), bernoulli(probability, count, seed))) for seed in range(streams))
    assert alarms <= DELTA * streams * count / CHECK_EVERY


@given(st.floats(0, 1), st.integers(2, 3000))
@settings(max_examples=20)
def test_a_constant_never_alarms_and_is_kept_whole(value: float, count: int) -> None:
    window = Adwin(DELTA)
    assert fed(window, np.full(count, value)) == []
    assert window.width == count
    assert window.mean == pytest.approx(value)


@pytest.mark.parametrize(("before", "after"), [(0.1, 0.6), (0.2, 0.5), (0.7, 0.2)])
@pytest.mark.parametrize("seed", range(5))
def test_a_jump_is_found_soon_and_what_came_before_is_forgotten(before: float, after: float, seed: int) -> None:
    window = Adwin(DELTA)
    fed(window, bernoulli(before, 1000, seed))
    cuts = fed(window, bernoulli(after, 600, seed + 100))
    number, cut = cuts[0]
    assert number < 250
    assert (cut.after > cut.before) == (after > before)
    assert cut.before == pytest.approx(before, abs=0.08)
    assert window.width < 800
    assert window.mean == pytest.approx(after, abs=0.1)


def test_a_larger_jump_is_found_sooner() -> None:
    def delay(after: float) -> float:
        delays = []
        for seed in range(5):
            window = Adwin(DELTA)
            fed(window, bernoulli(0.1, 500, seed))
            delays.append(fed(window, bernoulli(after, 1500, seed + 50))[0][0])
        return float(np.mean(delays))

    assert delay(0.9) < delay(0.5) < delay(0.25)


@given(st.lists(_values, max_size=400))
@settings(max_examples=40)
def test_the_window_holds_the_last_values_it_says_it_holds(values: list[float]) -> None:
    window = Adwin(DELTA)
    dropped = sum(cut.dropped for _, cut in fed(window, np.array(values)))
    assert window.width == len(values) - dropped
    if window.width:
        assert window.mean == pytest.approx(float(np.mean(values[-window.width :])))
    else:
        assert math.isnan(window.mean)


def test_a_cut_tells_the_means_of_what_was_forgotten_and_of_what_is_left() -> None:
    window = Adwin(DELTA)
    values = np.concatenate([bernoulli(0.1, 500, 0), bernoulli(0.8, 500, 1)])
    for number, cut in fed(window, values)[:1]:
        # An earlier cut would have moved the beginning of the window.
        assert cut.dropped + cut.width == number + 1
        assert cut.before == pytest.approx(values[: cut.dropped].mean())
        assert cut.after == pytest.approx(values[cut.dropped : number + 1].mean())


def test_memory_grows_with_the_logarithm_of_the_width() -> None:
    window = Adwin(DELTA)
    fed(window, bernoulli(0.3, 20_000, 0))
    assert len(window.state()["buckets"]) <= BUCKETS * math.log2(20_000)


@given(st.integers(0, 700), st.integers(0, 700), st.integers(0, 5))
@settings(max_examples=20)
def test_goes_on_from_its_state(before: int, after: int, seed: int) -> None:
    values = np.concatenate([bernoulli(0.1, before, seed), bernoulli(0.7, 200 + after, seed + 1)])
    one, other = Adwin(DELTA), Adwin(DELTA)
    half = len(values) // 2
    fed(one, values[:half])
    other.restore(one.state())
    assert fed(other, values[half:]) == fed(one, values[half:])
    for name, array in one.state().items():
        np.testing.assert_array_equal(array, other.state()[name])
