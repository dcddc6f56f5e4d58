from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.judging.calibration import (
    BINS,
    LEAST_TEMPERATURE,
    MOST_TEMPERATURE,
    Temperatures,
    bin_confidences,
    calibration_error,
    log_loss_slopes,
    tempered,
)

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def truth_of(logits: Floats, temperature: float, seed: int) -> Rows:
    """Labels drawn as if the logits were right at that temperature."""
    random = np.random.default_rng(seed)
    shares = softmax(logits / temperature)
    labels: Rows = (shares.cumsum(axis=1) < random.random((len(logits), 1))).sum(axis=1)
    return labels


def stream(temperature: float, nodes: int, seed: int = 0) -> tuple[npt.NDArray[np.float32], Rows]:
    """Predictions ``[n, 1, 4]`` that are right once tempered, and labels."""
    logits = np.random.default_rng(seed).normal(0, 2, (nodes, 4))
    return softmax(logits)[:, None].astype(np.float32), truth_of(logits, temperature, seed + 1)


def fitted(*parts: tuple[npt.NDArray[np.float32], Rows], batch: int = 20, memory: float = 500) -> Temperatures:
    temperatures = Temperatures(1, memory)
    for predictions, labels in parts:
        for first in range(0, len(labels), batch):
            temperatures.add(predictions[first : first + batch], labels[first : first + batch])
    return temperatures


class TestTempered:
    @given(st.lists(st.floats(-20, 20), min_size=2, max_size=5), st.floats(LEAST_TEMPERATURE, MOST_TEMPERATURE))
    @settings(max_examples=60)
    def test_is_the_softmax_of_divided_logits(self, logits: list[float], temperature: float) -> None:
        found = tempered(softmax(np.array(logits)), np.array(temperature))
        np.testing.assert_allclose(found, softmax(np.array(logits) / temperature), rtol=1e-6, atol=1e-12)


class TestLogLossSlopes:
    @given(st.integers(0, 1000), st.floats(np.log(LEAST_TEMPERATURE), np.log(MOST_TEMPERATURE)))
    @settings(max_examples=40)
    def test_first_is_the_derivative_and_second_its_expectation(self, seed: int, log_temperature: float) -> None:
        probabilities, label = stream(1.0, 1, seed)
        labels = label[:, None]

        def loss(at: float) -> float:
            return -float(np.log(tempered(probabilities[0, 0], np.array(np.exp(at)))[label[0]]))

        step = 1e-5
        (slope, information) = log_loss_slopes(probabilities, labels, np.array([log_temperature]))[:, 0, 0]
        numeric = (loss(log_temperature + step) - loss(log_temperature - step)) / (2 * step)
        assert slope == pytest.approx(numeric, abs=1e-4)
        shares = tempered(probabilities[0, 0], np.array(np.exp(log_temperature)))
        slopes = log_loss_slopes(
            np.repeat(probabilities, 4, axis=0), np.arange(4)[:, None], np.array([log_temperature])
        )[0, :, 0]
        assert information == pytest.approx(float((shares * slopes**2).sum()), rel=1e-5, abs=1e-9)


class TestTemperatures:
    @pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 3.0])
    @pytest.mark.parametrize("batch", [1, 20, 1500])
    def test_the_true_temperature_is_found(self, temperature: float, batch: int) -> None:
        found = fitted(stream(temperature, 1500), batch=batch).values()[0]
        assert found == pytest.approx(temperature, rel=0.2)

    def test_one_that_changes_is_followed(self) -> None:
        temperatures = fitted(stream(0.5, 1500), stream(2.5, 1500, seed=7), memory=200)
        assert temperatures.values()[0] == pytest.approx(2.5, rel=0.25)

    def test_after_forgetting_it_is_followed_sooner(self) -> None:
        whole, short = (fitted(stream(0.5, 2000), memory=2000) for _ in range(2))
        short.forget(50)
        for temperatures in (whole, short):
            temperatures.add(*stream(2.5, 300, seed=7))
        assert short.values()[0] > 1.5 * whole.values()[0]

    def test_what_is_tempered_is_calibrated(self) -> None:
        temperatures = fitted(stream(2.5, 2000))
        predictions, labels = stream(2.5, 4000, seed=50)
        raw, better = predictions[:, 0].astype(np.float64), tempered(predictions[:, 0], temperatures.values())

        def error(shares: Floats) -> float:
            right = shares.argmax(axis=1) == labels
            confidence = shares.max(axis=1)[:, None]
            return float(calibration_error(bin_confidences(confidence, right[:, None], np.ones_like(confidence)))[0])

        assert error(raw) > 0.15
        assert error(better) < 0.05

    @pytest.mark.parametrize(("label", "bound"), [(0, LEAST_TEMPERATURE), (1, MOST_TEMPERATURE)])
    def test_it_stays_within_its_bounds(self, label: int, bound: float) -> None:
        temperatures = Temperatures(1, 500)
        for _ in range(300):
            temperatures.add(np.array([[[0.7, 0.3]]] * 20, np.float32), np.full(20, label))
        assert temperatures.values()[0] == pytest.approx(bound)

    def test_a_few_nodes_alone_move_it_little(self) -> None:
        temperatures = Temperatures(1, 500)
        temperatures.add(np.array([[[0.9, 0.1]]] * 2, np.float32), np.ones(2, np.int64))
        assert 1 < temperatures.values()[0] < 1.6

    def test_nothing_is_learned_from_what_no_temperature_changes(self) -> None:
        temperatures = Temperatures(2, 500)
        nan = np.nan
        unknown = np.array([[[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [nan, nan]]], np.float32)
        temperatures.add(unknown, np.array([1, 2]))
        temperatures.add(np.zeros((3, 2, 0), np.float32), np.zeros(3, np.int64))
        temperatures.add(unknown[:0], np.zeros(0, np.int64))
        assert temperatures.values().tolist() == [1.0, 1.0]

    def test_each_student_has_its_own(self) -> None:
        one, other = stream(0.5, 800), stream(0.5, 800, seed=9)
        temperatures = Temperatures(1, 500), Temperatures(2, 500)
        temperatures[0].add(*one)
        temperatures[1].add(np.concatenate([one[0], other[0]], axis=1), one[1])
        assert temperatures[1].values()[0] == pytest.approx(temperatures[0].values()[0])
        assert temperatures[1].values()[1] != pytest.approx(temperatures[0].values()[0], rel=0.1)

    def test_goes_on_from_its_state(self) -> None:
        one, other = fitted(stream(2.0, 300)), Temperatures(1, 500)
        other.restore(one.state())
        for temperatures in (one, other):
            temperatures.add(*stream(0.5, 100, seed=3))
        for name, array in one.state().items():
            np.testing.assert_array_equal(array, other.state()[name])


class TestCalibrationError:
    @given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0.1, 1)), min_size=1, max_size=40))
    @settings(max_examples=60)
    def test_is_that_of_plain_python(self, predictions: list[tuple[float, bool, float]]) -> None:
        confidence, right, weight = (np.array(column)[:, None] for column in zip(*predictions, strict=True))
        found = calibration_error(bin_confidences(confidence, right, weight))
        expected = 0.0
        for number in range(BINS):
            inside = [p for p in predictions if number == max(0, int(np.ceil(p[0] * BINS)) - 1)]
            expected += abs(sum(w * (c - r) for c, r, w in inside))
        assert found.tolist() == pytest.approx([expected / sum(w for _, _, w in predictions)], abs=1e-9)

    def test_of_nothing_is_unknown(self) -> None:
        assert np.isnan(calibration_error(np.zeros((3, 2, BINS)))).all()
