"""Paired differences of scores on the same arrivals, with an interval by a block bootstrap.

Neighbouring arrivals of a stream are alike, so single arrivals are no independent samples. Whole blocks of successive
arrivals are drawn instead (Carlstein, "The Use of Subseries Values for Estimating the Variance of a General Statistic",
1986), the same blocks for both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from olad_core.tasks.node_class import count_classes, macro_f1

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BLOCKS = 40
"""Blocks at most."""
FEWEST_BLOCKS = 10
"""Without so many blocks there is no interval."""
LEAST_BLOCK = 10
"""Arrivals of a block, at least."""
DRAWS = 2000
"""Resamples."""


@dataclass(frozen=True)
class Outcomes:
    """What a contestant predicted of the same n scored arrivals as others.

    Attributes:
        predicted: classes ``[n]``; negative where there was no answer.
        loss: log loss ``[n]``.
        ranked: probability of the class that is ranked ``[n]``; None where none is.
    """

    predicted: Rows
    loss: Floats
    ranked: Floats | None = None

    def part(self, places: npt.NDArray[np.bool_]) -> Outcomes:
        """Those of some arrivals."""
        ranked = None if self.ranked is None else self.ranked[places]
        return Outcomes(self.predicted[places], self.loss[places], ranked)

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Where there was an answer ``[n]``."""
        return np.asarray(self.predicted >= 0)


@dataclass(frozen=True)
class Difference:
    """A score less that of the reference, on arrivals that both answered.

    Attributes:
        value: the difference.
        low, high: its 95 % interval; None with too few arrivals.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Differences:
    """The differences of one contestant from the reference.

    Attributes:
        arrivals: those that both answered.
        accuracy, log_loss, macro_f1: of the scores; None where there are no such arrivals.
        average_precision: of the class that is ranked; None where none is.
    """

    arrivals: int
    accuracy: Difference | None
    log_loss: Difference | None
    macro_f1: Difference | None
    average_precision: Difference | None = None


def differences(one: Outcomes, reference: Outcomes, truth: Rows, ranked: int | None = None) -> Differences:
    """The differences of ``one`` from the ``reference``.

    Args:
        one: a contestant.
        reference: the one it is compared with.
        truth: classes of the arrivals ``[n]``, in their order.
        ranked: the class of :attr:`Outcomes.ranked`, of which there are arrivals.

    >>> truth = np.zeros(200, dtype=np.int64)
    >>> right, wrong = Outcomes(truth, np.zeros(200)), Outcomes(truth + 1, np.ones(200))
    >>> differences(right, wrong, truth).accuracy
    Difference(value=1.0, low=1.0, high=1.0)
    """
    both = one.answered & reference.answered
    if not both.any():
        return Differences(0, None, None, None)
    truth = truth[both]
    blocks = min(BLOCKS, len(truth) // LEAST_BLOCK)
    blocks, draws = (blocks, _draws(blocks)) if blocks >= FEWEST_BLOCKS else (1, None)
    block = np.arange(len(truth)) * blocks // len(truth)
    classes = int(max(truth.max(), one.predicted.max(), reference.predicted.max())) + 1

    def difference(measured: Callable[[Outcomes, Rows, Rows, int, int], Measure]) -> Difference:
        first, second = (measured(own.part(both), truth, block, blocks, classes) for own in (one, reference))
        return _difference(first, second, draws)

    precision = None
    if ranked is not None and (truth == ranked).any():
        precision = difference(partial(_average_precision, ranked))
    return Differences(len(truth), difference(_accuracy), difference(_log_loss), difference(_macro_f1), precision)


Measure = Callable[[Floats], Floats]
"""A score ``[k]`` out of how often each block is drawn ``[k, blocks]``."""


def _difference(one: Measure, reference: Measure, draws: Floats | None) -> Difference:
    def less(drawn: Floats) -> Floats:
        return one(drawn) - reference(drawn)

    # Every block once gives the score itself.
    if draws is None:
        return Difference(float(less(np.ones((1, 1)))[0]), None, None)
    value = float(less(np.ones((1, draws.shape[1])))[0])
    low, high = np.quantile(less(draws), [0.025, 0.975]).tolist()
    return Difference(value, low, high)


def _draws(blocks: int) -> Floats:
    """How often each block is drawn in each resample ``[DRAWS, blocks]``."""
    random = np.random.default_rng(0)
    return random.multinomial(blocks, np.full(blocks, 1 / blocks), size=DRAWS).astype(np.float64)


def _accuracy(outcomes: Outcomes, truth: Rows, block: Rows, blocks: int, classes: int) -> Measure:
    del classes
    return _mean((outcomes.predicted == truth).astype(np.float64), block, blocks)


def _log_loss(outcomes: Outcomes, truth: Rows, block: Rows, blocks: int, classes: int) -> Measure:
    del truth, classes
    return _mean(outcomes.loss, block, blocks)


def _macro_f1(outcomes: Outcomes, truth: Rows, block: Rows, blocks: int, classes: int) -> Measure:
    counts = np.stack(
        [
            count_classes(
                outcomes.predicted[block == number, None],
                truth[block == number],
                np.ones((int(np.count_nonzero(block == number)), 1)),
                classes,
            )[:, 0]
            for number in range(blocks)
        ]
    )

    def measure(drawn: Floats) -> Floats:
        summed = drawn @ counts.reshape(blocks, -1)
        return macro_f1(summed.reshape(len(drawn), 3, classes).transpose(1, 0, 2))

    return measure


def _average_precision(ranked: int, outcomes: Outcomes, truth: Rows, block: Rows, blocks: int, classes: int) -> Measure:
    del blocks, classes
    assert outcomes.ranked is not None, "a class is ranked"
    order = np.argsort(-outcomes.ranked, kind="stable")
    value, of_class, block = outcomes.ranked[order], (truth == ranked)[order], block[order]
    # Arrivals of one probability stand together: precision is that at the last of them.
    last = np.append(np.flatnonzero(np.diff(value)), len(value) - 1)

    def measure(drawn: Floats) -> Floats:
        found = np.empty(len(drawn))
        for at, times in enumerate(drawn):
            above = np.cumsum(times[block])[last]
            right = np.cumsum(times[block] * of_class)[last]
            precision = right / np.maximum(above, 1e-12)
            found[at] = (np.diff(right, prepend=0.0) * precision).sum() / max(right[-1], 1e-12)
        return found

    return measure


def _mean(values: Floats, block: Rows, blocks: int) -> Measure:
    sums = np.bincount(block, weights=values, minlength=blocks)
    sizes = np.bincount(block, minlength=blocks).astype(np.float64)

    def measure(drawn: Floats) -> Floats:
        mean: Floats = (drawn @ sums) / (drawn @ sizes)
        return mean

    return measure
