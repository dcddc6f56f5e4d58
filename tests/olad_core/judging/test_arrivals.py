import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from olad_core.judging.arrivals import Arrivals
from olad_core.memory_use import FEWEST_REMEMBERED

NAN = math.nan


def array(values: object) -> npt.NDArray[np.float32]:
    return np.array(values, np.float32)


def rows(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


def predicted(*firsts: float) -> npt.NDArray[np.float32]:
    """One predictor, two classes: the first class's probabilities."""
    return array([[[first, 1 - first]] for first in firsts])


def taken(arrivals: Arrivals, at: npt.NDArray[np.int64], arrival: npt.NDArray[np.int64]) -> dict[int, Any]:
    taken = arrivals.take(at, arrival)
    places, predictions = taken.places, taken.probabilities
    return dict(zip(at[places].tolist(), predictions[:, 0, 0].tolist(), strict=True))


class TestArrivals:
    def test_a_prediction_waits_for_its_label_and_is_taken_once(self) -> None:
        arrivals = Arrivals(1, 10)
        arrivals.add(rows(5, 2), rows(0, 1), predicted(0.25, 0.5))
        assert taken(arrivals, rows(2, 7, 5_000), rows(1, 2, 3)) == {2: 0.5}
        assert taken(arrivals, rows(5, 2), rows(0, 1)) == {5: 0.25}

    def test_the_oldest_are_forgotten_beyond_the_limit(self) -> None:
        arrivals = Arrivals(1, 3)
        arrivals.add(rows(0, 1), rows(0, 1), predicted(0.0, 0.125))
        arrivals.add(rows(2, 3), rows(2, 3), predicted(0.25, 0.5))
        assert taken(arrivals, rows(0, 1, 2, 3), rows(0, 1, 2, 3)) == {1: 0.125, 2: 0.25, 3: 0.5}

    def test_of_more_than_the_limit_at_once_the_last_are_kept(self) -> None:
        arrivals = Arrivals(1, 2)
        arrivals.add(rows(0, 1, 2), rows(0, 1, 2), predicted(0.0, 0.25, 0.5))
        assert taken(arrivals, rows(0, 1, 2), rows(0, 1, 2)) == {1: 0.25, 2: 0.5}

    def test_a_row_taken_again_is_another_node(self) -> None:
        arrivals = Arrivals(1, 4)
        arrivals.add(rows(0), rows(0), predicted(0.25))
        assert taken(arrivals, rows(0), rows(1)) == {}
        arrivals.add(rows(0), rows(1), predicted(0.5))
        assert taken(arrivals, rows(0), rows(0)) == {}
        assert taken(arrivals, rows(0), rows(1)) == {0: 0.5}

    def test_those_that_wait_are_told_the_last_first(self) -> None:
        arrivals = Arrivals(1, 4)
        arrivals.add(rows(0, 1, 2), rows(0, 1, 2), predicted(0.0, 0.25, 0.5))
        arrivals.take(rows(1), rows(1))
        arrivals.add(rows(7, 2), rows(3, 4), predicted(0.5, 0.75))
        waiting, arrival = arrivals.waiting()
        assert (waiting.tolist(), arrival.tolist()) == ([2, 7, 2], [4, 3, 2])

    def test_classes_that_came_later_had_no_probability(self) -> None:
        arrivals = Arrivals(2, 4)
        arrivals.add(rows(0), rows(0), array([[[1.0], [NAN]]]))
        arrivals.add(rows(1), rows(1), array([[[0.5, 0.5], [0.25, 0.75]]]))
        predictions = arrivals.take(rows(0, 1), rows(0, 1)).probabilities
        np.testing.assert_array_equal(predictions, array([[[1, 0], [NAN, 0]], [[0.5, 0.5], [0.25, 0.75]]]))

    @pytest.mark.parametrize("added", range(1, 7))
    def test_go_on_from_their_state(self, added: int) -> None:
        # Row 0 comes again and again; the ring wraps, so that its latest entry stands before older ones.
        one, other = Arrivals(1, 4), Arrivals(1, 4)
        for arrival in range(added):
            one.add(rows(0 if arrival % 2 else arrival), rows(arrival), predicted(arrival / 8))
        other.restore(one.state())
        labels = rows(0, 2, 4), rows(added - 1 if added % 2 == 0 else max(added - 2, 0), 2, 4)
        assert taken(other, *labels) == taken(one, *labels)
        for arrivals in (one, other):
            arrivals.add(rows(9), rows(9), predicted(0.875))
        assert taken(other, rows(9, 0), rows(9, 0)) == taken(one, rows(9, 0), rows(9, 0))

    def test_a_taken_one_leaves_no_probabilities_in_the_state(self) -> None:
        arrivals = Arrivals(1, 1000)
        arrivals.add(np.arange(600), np.arange(600), predicted(*[0.5] * 600))
        arrivals.take(np.arange(500), np.arange(500))
        state = arrivals.state()
        assert (len(state["rows"]), len(state["probabilities"])) == (600, 100)
        other = Arrivals(1, 1000)
        other.restore(state)
        assert all(array.tobytes() == other.state()[name].tobytes() for name, array in state.items())
        assert len(taken(other, np.arange(600), np.arange(600))) == 100

    def test_memory_is_taken_as_it_is_used(self) -> None:
        arrivals = Arrivals(5, 65_536)
        arrivals.add(rows(0), rows(0), np.zeros((1, 5, 1000), np.float32))
        assert sum(array.nbytes for array in arrivals.state().values()) < 100_000
        assert _held(arrivals) < 1e6

    def test_cells_bound_what_is_remembered_and_the_newest_stay(self) -> None:
        arrivals = Arrivals(2, 65_536, cells=2000 * 2 * 3)
        arrivals.add(np.arange(1500), np.arange(1500), np.full((1500, 2, 3), 0.25, np.float32))
        assert len(arrivals.waiting()[0]) == 1500
        # With four classes there is memory for 1,500, with 10 for 600, with 1,000 for the fewest.
        for number, (classes, kept) in enumerate([(4, 1500), (10, 600), (1000, FEWEST_REMEMBERED)], start=1500):
            arrivals.add(rows(number), rows(number), np.full((1, 2, classes), 0.5, np.float32))
            waiting, arrival = arrivals.waiting()
            assert waiting.tolist() == arrival.tolist() == list(range(number, number - kept, -1))
        taken = arrivals.take(rows(0, 1502, 1499), rows(0, 1502, 1499))
        places, predictions = taken.places, taken.probabilities
        assert places.tolist() == [1, 2]
        assert predictions[:, :, :4].tolist() == [[[0.5] * 4] * 2, [[0.25, 0.25, 0.25, 0]] * 2]
        assert _held(arrivals) < 4 * 2 * 1000 * FEWEST_REMEMBERED + 200_000

    @pytest.mark.parametrize("classes", [3, 12])
    def test_a_state_with_every_slot_is_read(self, classes: int) -> None:
        # As formats 4 and 5 had it: arrays of the limit's length, with -1 in slots that were never used.
        cells, limit = 400 * 2 * 3, 400
        for added in (150, 400, 430):
            one = Arrivals(2, limit, cells)
            at = np.arange(added)
            one.add(at, at, np.full((added, 2, 3), 0.25, np.float32))
            one.take(at[:200:2], at[:200:2])
            every = {"rows": np.full(limit, -1), "arrival": np.full(limit, -1), "next": np.array([added % limit])}
            slots = at[-limit:] % limit
            every |= {"probabilities": np.zeros((limit, 2, 3), np.float32)}
            every["rows"][slots] = np.where((at[-limit:] < 200) & (at[-limit:] % 2 == 0), -1, at[-limit:])
            every["arrival"][slots] = at[-limit:]
            every["probabilities"][slots] = 0.25
            other = Arrivals(2, limit, cells)
            other.restore(every)
            for arrivals in (one, other):
                arrivals.add(rows(500), rows(500), np.full((1, 2, classes), 0.5, np.float32))
            np.testing.assert_array_equal(one.waiting(), other.waiting())
            asked = np.arange(501)
            found, expected = other.take(asked, asked), one.take(asked, asked)
            np.testing.assert_array_equal(found.places, expected.places)
            np.testing.assert_array_equal(found.probabilities, expected.probabilities)
            other.restore(one.state())
            assert all(array.tobytes() == other.state()[name].tobytes() for name, array in one.state().items())


def _held(arrivals: Arrivals) -> int:
    return sum(value.nbytes for value in vars(arrivals).values() if isinstance(value, np.ndarray))


def test_served_labels_stay_with_their_predictions() -> None:
    arrivals = Arrivals(2, 40)
    arrivals.add(rows(0, 1), rows(0, 1), np.full((2, 2, 3), 0.5, np.float32))
    assert arrivals.take(rows(0), rows(0)).labels is None
    arrivals.add(rows(2, 3), rows(2, 3), np.full((2, 2, 3), 0.5, np.float32), np.array([2, -1]))
    arrivals.add(rows(4), rows(4), np.full((1, 2, 3), 0.5, np.float32))
    restored = Arrivals(2, 40)
    restored.restore(arrivals.state())
    for one in (arrivals, restored):
        labels = one.take(rows(1, 2, 3, 4), rows(1, 2, 3, 4)).labels
        assert labels is not None
        assert labels.tolist() == [-1, 2, -1, -1]
