"""Two variants compared on the nodes that both have scored.

Each node is a pair: what one variant served at its arrival, and what the other one did. Differences of pairs leave out
how hard the nodes were, which single scores of two variants contain.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.judging.paired import FEWEST_BATCHES, LEAST_BATCH, Differences, Outcomes, differences
from olad_core.judging.served_outcomes import Records

WINDOWS = 4
"""Windows of time at most."""
LEAST_WINDOW = FEWEST_BATCHES * LEAST_BATCH
"""Pairs of a window, at least: so many that there is an interval."""


@dataclass(frozen=True)
class Window:
    """The differences over a range of time.

    Attributes:
        since, until: when the labels of its first and its last pair came, in seconds since 1970.
        found: the differences.
    """

    since: float
    until: float
    found: Differences


@dataclass(frozen=True)
class Comparison:
    """A variant less the champion.

    Attributes:
        whole: over all pairs; None where there are none.
        windows: over parts of as many successive pairs each, the oldest first.
    """

    whole: Window | None
    windows: tuple[Window, ...]


def compare(variant: Records, champion: Records) -> Comparison:
    """Compare a variant with the champion.

    Args:
        variant: its records, the oldest first.
        champion: those of the champion.
    """
    one, reference = _pairs(variant, champion)
    if not len(one):
        return Comparison(None, ())
    windows = min(WINDOWS, len(one) // LEAST_WINDOW)
    edges = np.linspace(0, len(one), windows + 1).astype(int).tolist() if windows > 1 else []
    parts = [slice(first, last) for first, last in itertools.pairwise(edges)]
    return Comparison(_window(one, reference), tuple(_window(one[part], reference[part]) for part in parts))


def _pairs(one: Records, reference: Records) -> tuple[Records, Records]:
    """Records of the same arrivals with the same labels, in the order in which the labels came to the reference.

    Of several records of one arrival the first one counts: a worker that goes back to a checkpoint scores again what
    readers have seen before.
    """
    own_keys, own = np.unique(one["arrival"], return_index=True)
    keys, place = np.unique(reference["arrival"], return_index=True)
    _, among_own, among = np.intersect1d(own_keys, keys, assume_unique=True, return_indices=True)
    own, place = own[among_own], place[among]
    same = one["truth"][own] == reference["truth"][place]
    own, place = own[same], place[same]
    order = np.argsort(place)
    return one[own[order]], reference[place[order]]


def _window(one: Records, reference: Records) -> Window:
    truth = reference["truth"].astype(np.int64)
    ranked = _ranked(one, reference)
    found = differences(_outcomes(one), _outcomes(reference), truth, ranked)
    return Window(float(reference["time"][0]), float(reference["time"][-1]), found)


def _ranked(one: Records, reference: Records) -> int | None:
    """The class that both have ranked in all of the pairs; None where there is none."""
    numbers: npt.NDArray[np.int32] = np.unique(np.concatenate([one["ranked_class"], reference["ranked_class"]]))
    return int(numbers[0]) if len(numbers) == 1 and numbers[0] >= 0 else None


def _outcomes(records: Records) -> Outcomes:
    return Outcomes(
        predicted=records["predicted"].astype(np.int64),
        loss=records["loss"].astype(np.float64),
        ranked=records["ranked"].astype(np.float64),
    )
