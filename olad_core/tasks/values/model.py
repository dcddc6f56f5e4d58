"""A model of values: predicts with an interval, and follows the values that come for the examples of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from olad_core.named_state import join_parts, take_part
from olad_core.task_types import FEW_VALUES
from olad_core.tasks.labelled_places import LabelledPlaces
from olad_core.tasks.values.head import Head
from olad_core.tasks.values.inputs import Remembered, ValueInputs
from olad_core.tasks.values.margins import Margins
from olad_core.tasks.values.units import Units, units_of
from olad_core.tasks.values.weighing import Weighing

Rows = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

Inputs = TypeVar("Inputs", bound=ValueInputs)

ANSWERED = 3
"""Numbers of an answer: low, value, high."""
BESIDE_GUESSES = 2
"""Predictions that are weighed beside the guesses of a task: the usual value, and the head."""
VALUES_A_STEP = 4
"""The head takes a step for every so many values."""
_OF_UNITS = 2_000
"""The units are those of so many values, the last ones."""
_UNITS_EVERY = 32
"""They are found again for every so many values, once there are many."""


class Scored(NamedTuple):
    """A prediction at arrival whose value has come.

    Attributes:
        simple: what the task's simple prediction was, at arrival.
        answered: low, value and high, as they were answered.
        value: the true one.
    """

    simple: float
    answered: tuple[float, float, float]
    value: float


class Interval(NamedTuple):
    """A predicted value.

    Attributes:
        value: the median: as many are above as below.
        low, high: between them are as many as the task's coverage.
    """

    value: float
    low: float
    high: float


class Predicted(NamedTuple):
    """Predictions of n examples.

    Attributes:
        answered: low, value and high ``[n, 3]``; NaN before anything is answered.
        weighed: what the value is weighed from ``[n, K]``; NaN likewise.
    """

    answered: Doubles
    weighed: Doubles


class ValueModel(Generic[Inputs]):
    """A head with its units, margins and guard.

    Args:
        coverage: share of the values that shall lie in the interval.
        seed: of the head.
        width: inputs of an example.
        guesses: simple predictions of the task, G.
        examples: that it learns from.
    """

    def __init__(self, coverage: float, seed: int, width: int, guesses: int, examples: Remembered[Inputs]) -> None:
        self._seed, self._width, self._guesses, self._examples = seed, width, guesses, examples
        self.units, self.margins = Units(), Margins(coverage)
        self.head = Head(coverage, self.units, seed, width)
        self.weighing = Weighing(guesses + BESIDE_GUESSES)
        self.labels = 0
        """Examples whose value has come."""
        self.steps = 0
        """That heads have taken, those of earlier heads included."""
        self._labelled = LabelledPlaces(VALUES_A_STEP)
        self._fresh: list[int] = []

    @property
    def answers(self) -> bool:
        """Whether enough is known to answer."""
        return self.steps > 0

    def predict(self, inputs: Inputs) -> Predicted:
        """What is answered of examples."""
        guesses = inputs.guesses(self.units.centre)
        if not self.answers:
            count = len(guesses)
            weighed = np.full((count, self._guesses + BESIDE_GUESSES), np.nan)
            return Predicted(np.full((count, ANSWERED), np.nan), weighed)
        quantiles = self.head.units.long(self.margins.widened(self.head.quantiles(inputs)))
        usual = np.full(len(quantiles), self.units.centre)
        weighed = np.column_stack([guesses, usual, quantiles[:, 1]])
        # Not a product of matrices, whose rounding depends on how many rows there are.
        value = (weighed * self.weighing.weights()).sum(axis=1)
        low, high = np.minimum(quantiles[:, 0], value), np.maximum(quantiles[:, 2], value)
        return Predicted(np.stack([low, value, high], axis=1), weighed)

    def counted(self, value: float) -> float:
        """The value as it is counted in means."""
        return self.units.bounded(value) if self.answers else value

    def replaced(self, places: Rows) -> None:
        """Learn no longer from examples whose places hold others now."""
        self._labelled.leave_out(places)

    def label(self, place: int) -> None:
        """Learn from the example at a place, whose value is known now."""
        self.labels += 1
        self._labelled.add(place)
        self._fresh.append(place)

    def score(self, weighed: Doubles, value: float) -> None:
        """Weigh the predictions ``[K]`` that were answered by the value that came."""
        self.weighing.learn(np.abs(weighed - value) / self.units.scale)

    def learn(self) -> int:
        """Follow the values that have come, and take the steps that they have made due; their number."""
        self._labelled.keep_last()
        fresh, self._fresh = np.array(self._fresh, np.int64), []
        if self.labels < FEW_VALUES:
            return 0
        if self.answers:
            # As it would be predicted now, so that values that come late and many at once count alike.
            learned = self.head.quantiles(self._examples.inputs(fresh))
            self.margins.learn(learned, self.head.units.short(self._examples.value[fresh]))
        self._follow_units(len(fresh))
        return self._take_steps(self._labelled.due())

    def begin_anew(self, width: int) -> None:
        """Have a new head for inputs of another width, which learns from the values that are remembered."""
        self._width = width
        self._begin_anew()

    def exchange(self, examples: Remembered[Inputs], places: Rows, width: int) -> None:
        """Have other examples, and a new head for them.

        Args:
            examples: that it learns from.
            places: of those whose value is known.
            width: of their inputs.
        """
        self._examples, self._labelled.places, self._fresh, self._width = examples, places, [], width
        if self.answers:
            self._begin_anew()
        else:
            self.head = Head(self.margins.coverage, self.units, self._seed, width)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        arrays, values = self.head.state()
        joined = join_parts({"head": arrays}) | {
            "labelled": self._labelled.places.copy(),
            "units": np.array(self.units),
            "losses": self.weighing.losses.copy(),
            "gap": np.array(self.weighing.gap),
            "margins": self.margins.sides.copy(),
        }
        return joined, {"labels": self.labels, "steps": self.steps, "owed": self._labelled.owed, "head": values}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state` of a model of the same task."""
        self.head = Head.from_state(self.margins.coverage, take_part(arrays, "head"), values["head"])
        self._width = self.head.width
        self.units = Units(*arrays["units"].astype(np.float64).tolist())
        self.weighing.losses, self.weighing.gap = arrays["losses"].astype(np.float64), float(arrays["gap"])
        self.margins.sides = arrays["margins"].astype(np.float64)
        self.labels, self.steps, self._labelled.owed = values["labels"], values["steps"], values["owed"]
        self._labelled.places = arrays["labelled"].astype(np.int64)

    def _follow_units(self, fresh: int) -> None:
        """Find the units of the last values; a head that learned in others that are far from them begins anew."""
        few = self.labels - fresh < _OF_UNITS
        if not few and self.labels // _UNITS_EVERY == (self.labels - fresh) // _UNITS_EVERY:
            return
        last = self._labelled.places[-_OF_UNITS:]
        if not last.size:
            return
        self.units = units_of(self._examples.value[last])
        if not self.answers or self.units.far_from(self.head.units):
            self._begin_anew()
        else:
            # What is answered lies between the least and the greatest of the last values.
            self.head.units = self.head.units._replace(lowest=self.units.lowest, highest=self.units.highest)

    def _take_steps(self, steps: int) -> int:
        places = self._labelled.places
        if not len(places) or not steps:
            return 0
        inputs, values = self._examples.inputs(places), self._examples.value[places]
        for _ in range(steps):
            self.head.learn(inputs, values)
        self.steps += steps
        return steps

    def _begin_anew(self) -> None:
        self.head = Head(self.margins.coverage, self.units, self._seed + self.steps, self._width)
        if len(self._labelled.places):
            self.head.observe(self._examples.inputs(self._labelled.places))
            self._take_steps(self._labelled.steps_anew())


def interval(answered: Doubles) -> Interval:
    """An answer ``[3]`` by name."""
    low, value, high = answered.tolist()
    return Interval(value, low, high)
