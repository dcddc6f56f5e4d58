"""ADWIN: a window over a stream that forgets what came before a change of its mean.

Bifet and Gavalda, "Learning from Time-Changing Data with Adaptive Windowing" (2007), its second algorithm. It finds a
change where the paper does and then forgets more at once: all before the split at which the two parts differ most. The
paper drops its oldest bucket until no two parts differ, which keeps much from before the change for a while.
river's ADWIN can only be pickled; the state of this one is plain arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BUCKETS = 5
"""Buckets of one size, at most: what the window costs in memory and gives in resolution (M in the paper)."""
CHECK_EVERY = 8
"""Values between two searches for a change."""
LEAST_SIDE = 5
"""Values on either side of a split, at least."""


@dataclass(frozen=True)
class Cut:
    """A change of the mean: what was forgotten and what is left.

    Attributes:
        before: mean of the forgotten values.
        after: mean of those left.
        dropped: how many were forgotten.
        width: how many are left.
    """

    before: float
    after: float
    dropped: int
    width: int


class Adwin:
    """A window of values from [0, 1] that is as long as their mean is constant.

    The window is kept as an exponential histogram: buckets of 1, 2, 4, ... values, :data:`BUCKETS` of each size, so
    that n values take memory and time of order log n. At any search the probability of a change that is none is
    ``delta`` at most.

    Args:
        delta: that probability.

    >>> window = Adwin(delta=0.002)
    >>> [cut for _ in range(500) if (cut := window.add(0.0))]
    []
    >>> cuts = [cut for _ in range(50) if (cut := window.add(1.0))]
    >>> cuts[0].before, cuts[0].after > 0, window.width < 100
    (0.0, True, True)
    """

    def __init__(self, delta: float) -> None:
        self._delta = delta
        # Sums of values and of their squares of each bucket; row i has buckets of 2**i values, oldest first.
        self._rows: list[list[tuple[float, float]]] = [[]]
        self._unchecked = 0

    @property
    def width(self) -> int:
        """Number of values in the window."""
        return sum(len(row) << power for power, row in enumerate(self._rows))

    @property
    def mean(self) -> float:
        """Mean of the values in the window; NaN while it is empty."""
        width = self.width
        return sum(total for row in self._rows for total, _ in row) / width if width else float("nan")

    def add(self, value: float) -> Cut | None:
        """Take in the next value; a :class:`Cut` where the mean has changed."""
        self._rows[0].append((value, value * value))
        self._compress()
        self._unchecked += 1
        if self._unchecked < CHECK_EVERY:
            return None
        self._unchecked = 0
        return self._shrink()

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        buckets = [bucket for row in self._rows for bucket in row]
        return {
            "row_lengths": np.array([len(row) for row in self._rows], dtype=np.int64),
            "buckets": np.array(buckets, dtype=np.float64).reshape(-1, 2),
            "unchecked": np.array([self._unchecked], dtype=np.int64),
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        buckets = iter(state["buckets"].tolist())
        self._rows = [[tuple(next(buckets)) for _ in range(length)] for length in state["row_lengths"].tolist()]
        self._unchecked = int(state["unchecked"][0])

    def _compress(self) -> None:
        """Merge the two oldest buckets of every size of which there are too many."""
        power = 0
        while len(self._rows[power]) > BUCKETS:
            (total, square), (next_total, next_square) = self._rows[power][:2]
            del self._rows[power][:2]
            power += 1
            if power == len(self._rows):
                self._rows.append([])
            self._rows[power].append((total + next_total, square + next_square))

    def _shrink(self) -> Cut | None:
        """Forget the older part as long as an older and a newer part of the window differ."""
        sizes = np.array([1 << power for power, row in _oldest_first(self._rows) for _ in row], dtype=np.int64)
        buckets = np.array([bucket for _, row in _oldest_first(self._rows) for bucket in row])
        first = 0
        while older := _differing(sizes[first:], buckets[first:], self._delta):
            first += older
        if not first:
            return None
        for _ in range(first):
            while not self._rows[-1]:
                self._rows.pop()
            del self._rows[-1][0]
        dropped, width = int(sizes[:first].sum()), int(sizes[first:].sum())
        return Cut(
            before=float(buckets[:first, 0].sum() / dropped),
            after=float(buckets[first:, 0].sum() / width),
            dropped=dropped,
            width=width,
        )


def _oldest_first(rows: list[list[tuple[float, float]]]) -> list[tuple[int, list[tuple[float, float]]]]:
    return list(enumerate(rows))[::-1]


def _differing(sizes: npt.NDArray[np.int64], buckets: npt.NDArray[np.float64], delta: float) -> int:
    """Number of buckets before the split whose sides differ most, where any differ by more than chance; else 0.

    More than chance is the paper's ``epsilon_cut``. They differ most where the difference is greatest over its own
    deviation, which is as the root of the sides' harmonic mean.
    """
    width = int(sizes.sum())
    if width < 2 * LEAST_SIDE:
        return 0
    total, square = buckets.sum(axis=0)
    variance = max(0.0, square / width - (total / width) ** 2)
    older = np.cumsum(sizes)[:-1]
    newer = width - older
    sums = np.cumsum(buckets[:-1, 0])
    harmonic = older * newer / width
    log_term = np.log(2 * np.log(width) / delta)
    least = np.sqrt(2 / harmonic * variance * log_term) + 2 / (3 * harmonic) * log_term
    difference = np.abs(sums / older - (total - sums) / newer)
    far = (difference > least) & (older >= LEAST_SIDE) & (newer >= LEAST_SIDE)
    return int(np.argmax(np.where(far, difference * np.sqrt(harmonic), 0))) + 1 if far.any() else 0
