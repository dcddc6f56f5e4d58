"""Variants are compared on the arrivals that both have scored."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from olad_core.judging.comparison import LEAST_WINDOW, WINDOWS, compare
from olad_core.judging.paired import Outcomes, differences
from olad_core.judging.served_outcomes import NO_RECORDS, NewestOutcomes, Records, arrival_keys, records_of


def records(arrivals: npt.NDArray[np.int64], seed: int, right: float = 0.7, ranked: int | None = None) -> Records:
    """Of nodes of three classes; the truth depends on the arrival alone."""
    random, count = np.random.default_rng(seed), len(arrivals)
    truth = arrivals % 3
    predicted = np.where(random.random(count) < right, truth, (truth + 1) % 3)
    shares = random.random(count) if ranked is not None else None
    found = records_of(truth, predicted, random.random(count).astype(np.float32), shares, ranked)
    found["arrival"] = arrival_keys(arrivals, [f"node {number}" for number in arrivals])
    found["time"] = 1000.0 + arrivals
    return found


def outcomes(found: Records) -> Outcomes:
    return Outcomes(*(found[name].astype(kind) for name, kind in (("predicted", int), ("loss", float))))


def test_only_arrivals_that_both_scored_are_pairs_whatever_the_order_of_their_labels() -> None:
    one, champion = records(np.arange(100, 700), 1), records(np.arange(500), 2)
    shuffled = np.random.default_rng(3).permutation(len(one))
    found = compare(one[shuffled], champion).whole
    assert found is not None
    assert found.found == differences(outcomes(one[:400]), outcomes(champion[100:]), np.arange(100, 500) % 3)
    assert (found.since, found.until) == (1100.0, 1499.0)


def test_what_was_scored_again_counts_as_it_was_first() -> None:
    """A worker that goes back to a checkpoint scores again what readers have seen before."""
    one, champion = records(np.arange(300), 1), records(np.arange(300), 2)
    again = np.concatenate([champion[:200], records(np.arange(100, 200), 4, right=0.0), champion[200:]])
    assert compare(one, again) == compare(one, champion)


def test_no_node_is_compared_with_another_one() -> None:
    champion = records(np.arange(300), 2)
    # An entry with one node that this variant has passed over: its later nodes arrive one number earlier.
    shifted = records(np.arange(300), 1)
    shifted["arrival"][100:] = arrival_keys(np.arange(100, 300) - 1, [f"node {number}" for number in range(100, 300)])
    found = compare(shifted, champion).whole
    assert found is not None
    assert (found.found.arrivals, found.until) == (100, 1099.0)
    # A label that only one of them knew at the time.
    other = champion.copy()
    other["truth"][50:] += 1
    found = compare(other, champion).whole
    assert found is not None
    assert found.found.arrivals == 50
    assert compare(records(np.arange(300, 600), 1), champion).whole is None
    assert compare(NO_RECORDS, champion).windows == ()


def test_windows_are_parts_of_the_pairs_in_their_order() -> None:
    one, champion = records(np.arange(1000), 1, right=0.9), records(np.arange(1000), 2)
    found = compare(one, champion)
    assert [window.found.arrivals for window in found.windows] == [1000 // WINDOWS] * WINDOWS
    ends = [(window.since, window.until) for window in found.windows]
    assert ends == [(1000.0, 1249.0), (1250.0, 1499.0), (1500.0, 1749.0), (1750.0, 1999.0)]
    assert all(window.found.accuracy is not None and window.found.accuracy.low is not None for window in found.windows)
    few = compare(one[: 2 * LEAST_WINDOW], champion)
    assert [window.found.arrivals for window in few.windows] == [LEAST_WINDOW] * 2
    assert compare(one[: 2 * LEAST_WINDOW - 1], champion).windows == ()


def test_average_precision_is_compared_where_both_ranked_the_same_class_all_the_time() -> None:
    champion, one = records(np.arange(300), 2, ranked=1), records(np.arange(300), 1, ranked=1)
    found = compare(one, champion).whole
    assert found is not None
    assert found.found.average_precision is not None
    one["ranked_class"][:10] = 2
    for other in (one, records(np.arange(300), 1)):
        found = compare(other, champion).whole
        assert found is not None
        assert found.found.average_precision is None


def test_the_newest_records_are_held_until_they_are_stored() -> None:
    held, every = NewestOutcomes(100), records(np.arange(1000), 1)
    assert len(held.records()) == 0
    for first in range(0, 1000, 7):
        held.add(every[first : first + 7])
        assert held.records()["arrival"].tolist() == every["arrival"][: first + 7][-100:].tolist()
    held.add(every)
    assert held.records()["arrival"].tolist() == every["arrival"][-100:].tolist()
    held.clear()
    assert len(held.records()) == 0
