"""Of many classes the best are remembered: what is predicted stays exact, and memory is bounded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from olad_core.config import ARRIVAL_CLASSES
from olad_core.judging.arrivals import Arrivals
from olad_core.judging.calibration import Temperatures, tempered
from olad_core.judging.class_columns import COLUMNS, ClassColumns, best_columns
from olad_core.judging.prequential import Scores
from olad_core.memory_use import remembered

NODES, PREDICTORS, CLASSES = 200, 5, 700
Probabilities = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def predictions(classes: int = CLASSES, seed: int = 0) -> tuple[Probabilities, Rows]:
    """Peaked ones ``[n, P, C]``, one predictor without an answer at some nodes, and labels."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (NODES, PREDICTORS, classes))
    labels = random.integers(classes, size=NODES)
    logits[np.arange(0, NODES, 2), :, labels[::2]] += 8
    shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    shares[::7, 4] = np.nan
    return shares.astype(np.float32), labels


def test_a_predictors_class_stays_and_all_sums_to_one() -> None:
    whole, labels = predictions()
    narrow, columns = best_columns(whole)
    answered = np.isfinite(whole).all(axis=2)
    assert narrow.shape == (NODES, PREDICTORS, COLUMNS)
    np.testing.assert_array_equal(np.isfinite(narrow).all(axis=2), answered)
    found = columns.named(np.nan_to_num(narrow).argmax(axis=2))
    np.testing.assert_array_equal(found[answered], whole.argmax(axis=2)[answered])
    np.testing.assert_allclose((narrow * columns.counts[:, None]).sum(axis=2)[answered], 1, rtol=1e-5)
    places = columns.places(labels)
    own = places < ARRIVAL_CLASSES
    assert own.sum() > NODES / 2
    np.testing.assert_array_equal(columns.table[own, places[own]], labels[own])
    np.testing.assert_array_equal(narrow[own, 0, places[own]], whole[own, 0, labels[own]])


def test_equal_probabilities_predict_the_first_class() -> None:
    narrow, columns = best_columns(np.full((3, 2, CLASSES), 1 / CLASSES, np.float32))
    assert columns.named(narrow.argmax(axis=2)).tolist() == [[0, 0]] * 3


def test_a_class_that_came_later_was_unknown() -> None:
    columns = ClassColumns.of_few(3, known=10)
    assert columns.places(np.array([9, 60, 300])).tolist() == [9, 60, COLUMNS]
    _, of_many = best_columns(predictions()[0][:1])
    assert of_many.places(np.array([CLASSES])).tolist() == [COLUMNS]


class TestScores:
    def test_of_best_classes_are_those_of_all(self) -> None:
        whole, labels = predictions()
        one, other = Scores(PREDICTORS, 50), Scores(PREDICTORS, 50)
        right = one.add(whole, labels).right
        narrow, columns = best_columns(whole)
        np.testing.assert_array_equal(other.add(narrow, labels, columns).right, right)
        np.testing.assert_array_equal(other.accuracy(), one.accuracy())
        np.testing.assert_allclose(other.macro_f1(), one.macro_f1())
        np.testing.assert_allclose(other.recent_calibration_error(), one.recent_calibration_error(), rtol=1e-5)
        # Labels outside the columns have the mean of the others.
        np.testing.assert_allclose(other.log_loss(), one.log_loss(), rtol=0.15)

    def test_temperatures_of_best_classes_are_near_those_of_all(self) -> None:
        whole = predictions()[0][:, :4]
        random = np.random.default_rng(3)
        # Labels come as if the logits were divided by 1.5.
        labels = np.array([random.choice(CLASSES, p=shares) for shares in tempered(whole[:, 0], np.full(NODES, 1.5))])
        one, other = Temperatures(4, 500), Temperatures(4, 500)
        narrow, columns = best_columns(whole)
        one.add(whole, labels)
        other.add(narrow, columns.places(labels), columns.counts)
        assert one.values()[0] > 1.1
        np.testing.assert_allclose(other.values()[0], one.values()[0], rtol=0.1)


class TestArrivals:
    @pytest.mark.parametrize("classes", [ARRIVAL_CLASSES + 1, CLASSES])
    def test_predictions_of_few_classes_stay_when_there_are_many(self, classes: int) -> None:
        few, many = predictions(10)[0], predictions(classes)[0]
        arrivals, at = Arrivals(PREDICTORS, 1_000), np.arange(NODES)
        arrivals.add(at, at, few)
        arrivals.add(at + NODES, at + NODES, many)
        restored = Arrivals(PREDICTORS, 1_000)
        restored.restore(arrivals.state())
        for each in (arrivals, restored):
            taken = each.take(np.arange(0, 2 * NODES, 50), np.arange(0, 2 * NODES, 50))
            places, found, columns = taken.places, taken.probabilities, taken.columns
            assert len(places) == 8
            assert columns is not None
            np.testing.assert_array_equal(found[:4, :, :10], few[::50])
            np.testing.assert_array_equal(np.nan_to_num(found[:4, :, 10:]), 0)
            np.testing.assert_array_equal(found[4:], best_columns(many)[0][::50])
            assert columns.table[:, -1].tolist() == [10] * 4 + [classes] * 4

    def test_memory_does_not_grow_with_the_classes(self) -> None:
        arrivals, at = Arrivals(PREDICTORS, 65_536), np.arange(NODES)
        for first in range(0, 1_000, NODES):
            arrivals.add(at + first, at + first, np.full((NODES, PREDICTORS, 5_000), 1 / 5_000, np.float32))
        assert len(arrivals.waiting()[0]) == 1_000
        assert (
            sum(array.nbytes for array in arrivals.state().values()) < 1_000 * 4 * (PREDICTORS + 1) * COLUMNS + 20_000
        )
        assert remembered(65_536, 2**24, PREDICTORS, COLUMNS) > 50_000

    def test_a_state_of_an_earlier_release_is_narrowed(self) -> None:
        whole, _ = predictions()
        at = np.arange(NODES)
        other = Arrivals(PREDICTORS, 1_000)
        other.restore({"rows": at, "arrival": at, "probabilities": whole, "next": np.array([NODES])})
        one = Arrivals(PREDICTORS, 1_000)
        one.add(at, at, whole)
        assert all(array.tobytes() == other.state()[name].tobytes() for name, array in one.state().items())

    def test_a_state_whose_tables_do_not_fit_is_refused(self) -> None:
        arrivals, at = Arrivals(PREDICTORS, 1_000), np.arange(NODES)
        arrivals.add(at, at, predictions()[0])
        state = arrivals.state()
        state["classes"] = state["classes"][:-1]
        with pytest.raises(ValueError, match="arrivals/classes"):
            Arrivals(PREDICTORS, 1_000).restore(state)
