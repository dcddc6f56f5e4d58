"""Paired differences of scores on the same arrivals, with an interval by the jackknife over batches of arrivals.

Neighbouring arrivals of a stream are alike, so single arrivals are no independent samples. Whole batches of successive
arrivals are left out instead, one at a time and the same for both. For a mean that is the method of batch means
(Schmeiser, "Batch size effects in the analysis of simulation output", 1982); scores that are no means, such as
macro-F1 and average precision, are computed anew without each batch (Tukey's jackknife; Kuensch, "The jackknife and
the bootstrap for general stationary observations", 1989). The interval takes Student's t with a degree of freedom
less than there are batches. It holds as far as outcomes of different batches are independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from olad_core.tasks.class_counts import count_classes, macro_f1

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BATCHES = 20
"""Batches at most: few and long ones, so that neighbouring ones depend little on each other."""
FEWEST_BATCHES = 10
"""Without so many batches there is no interval."""
LEAST_BATCH = 10
"""Arrivals of a batch, at least."""
_NORMAL = 1.959964
"""The 97.5 % quantile of the normal distribution."""


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
    batch, batches = _batches_of(len(truth))
    classes = int(max(truth.max(), one.predicted.max(), reference.predicted.max())) + 1

    def difference(measured: Callable[[Outcomes, Rows, Rows, int, int], Measure]) -> Difference:
        first, second = (measured(own.part(both), truth, batch, batches, classes) for own in (one, reference))
        return _difference(first, second, batches)

    precision = None
    if ranked is not None and (truth == ranked).any():
        precision = difference(partial(_average_precision, ranked))
    return Differences(len(truth), difference(_accuracy), difference(_log_loss), difference(_macro_f1), precision)


def t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, for 9 degrees of freedom and more to three digits.

    Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.5.

    >>> round(t_quantile(9), 3), round(t_quantile(19), 3)
    (2.262, 2.093)
    """
    z = _NORMAL
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + terms[0] / freedom + terms[1] / freedom**2 + terms[2] / freedom**3


def mean_difference(one: Floats, reference: Floats) -> Difference:
    """The mean of losses less that of the reference, on the same arrivals in their order ``[n]``, at least one.

    >>> mean_difference(np.ones(200), np.full(200, 3.0))
    Difference(value=-2.0, low=-2.0, high=-2.0)
    """
    batch, batches = _batches_of(len(one))
    return _difference(_mean(one, batch, batches), _mean(reference, batch, batches), batches)


Measure = Callable[[Floats], Floats]
"""A score ``[k]`` out of how often each batch counts ``[k, batches]``."""


def _batches_of(arrivals: int) -> tuple[Rows, int]:
    """The batch of each arrival, and how many batches there are; one where there are too few for an interval."""
    batches = min(BATCHES, arrivals // LEAST_BATCH)
    batches = batches if batches >= FEWEST_BATCHES else 1
    return np.arange(arrivals) * batches // arrivals, batches


def _difference(one: Measure, reference: Measure, batches: int) -> Difference:
    def less(counted: Floats) -> Floats:
        return one(counted) - reference(counted)

    # Every batch once gives the score itself.
    value = float(less(np.ones((1, batches)))[0])
    if batches == 1:
        return Difference(value, None, None)
    without = less(1 - np.eye(batches))
    error = np.sqrt((batches - 1) * np.mean((without - without.mean()) ** 2))
    half = t_quantile(batches - 1) * float(error)
    return Difference(value, value - half, value + half)


def _accuracy(outcomes: Outcomes, truth: Rows, batch: Rows, batches: int, classes: int) -> Measure:
    del classes
    return _mean((outcomes.predicted == truth).astype(np.float64), batch, batches)


def _log_loss(outcomes: Outcomes, truth: Rows, batch: Rows, batches: int, classes: int) -> Measure:
    del truth, classes
    return _mean(outcomes.loss, batch, batches)


def _macro_f1(outcomes: Outcomes, truth: Rows, batch: Rows, batches: int, classes: int) -> Measure:
    counts = np.stack(
        [
            count_classes(
                outcomes.predicted[batch == number, None],
                truth[batch == number],
                np.ones((int(np.count_nonzero(batch == number)), 1)),
                classes,
            )[:, 0]
            for number in range(batches)
        ]
    )

    def measure(counted: Floats) -> Floats:
        summed = counted @ counts.reshape(batches, -1)
        return macro_f1(summed.reshape(len(counted), 3, classes).transpose(1, 0, 2))

    return measure


def _average_precision(
    ranked: int, outcomes: Outcomes, truth: Rows, batch: Rows, batches: int, classes: int
) -> Measure:
    del batches, classes
    assert outcomes.ranked is not None, "a class is ranked"
    order = np.argsort(-outcomes.ranked, kind="stable")
    value, of_class, batch = outcomes.ranked[order], (truth == ranked)[order], batch[order]
    # Arrivals of one probability stand together: precision is that at the last of them.
    last = np.append(np.flatnonzero(np.diff(value)), len(value) - 1)

    def measure(counted: Floats) -> Floats:
        found = np.empty(len(counted))
        for at, times in enumerate(counted):
            above = np.cumsum(times[batch])[last]
            right = np.cumsum(times[batch] * of_class)[last]
            precision = right / np.maximum(above, 1e-12)
            found[at] = (np.diff(right, prepend=0.0) * precision).sum() / max(right[-1], 1e-12)
        return found

    return measure


def _mean(values: Floats, batch: Rows, batches: int) -> Measure:
    sums = np.bincount(batch, weights=values, minlength=batches)
    sizes = np.bincount(batch, minlength=batches).astype(np.float64)

    def measure(counted: Floats) -> Floats:
        mean: Floats = (counted @ sums) / (counted @ sizes)
        return mean

    return measure
