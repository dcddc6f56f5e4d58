"""One task on values of edges: predicts edges when they arrive, remembers them, and learns from their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.named_state import join_parts, take_part
from olad_core.task_types import FEW_VALUES
from olad_core.tasks.edge_value.head import Head
from olad_core.tasks.edge_value.history import ENDS, SIMPLE, Asked, History, Inputs
from olad_core.tasks.edge_value.margins import Margins
from olad_core.tasks.edge_value.remembered import ANSWERED, Remembered
from olad_core.tasks.edge_value.units import Units, units_of
from olad_core.tasks.edge_value.weighing import Weighing
from olad_core.tasks.labelled_places import LabelledPlaces

Rows = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

VALUES_A_STEP = 4
"""The head takes a step for every so many values."""
MOST_FEATURES = 256
"""Features of an edge that are inputs: the first ones."""
_OF_UNITS = 2_000
"""The units are those of so many values, the last ones."""
_UNITS_EVERY = 32
"""They are found again for every so many values, once there are many."""


class Scored(NamedTuple):
    """A prediction at arrival whose value has come.

    Attributes:
        simple: the mean of what both ends gave and received, at arrival.
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


@dataclass(frozen=True)
class ValueAnswer:
    """The prediction of an edge.

    Attributes:
        now: of the model as it is. Of an edge that is remembered it is from what was known when it arrived.
        at_arrival: as it was then; None for an edge that is not remembered, or had no answer.
        truth: its value; None where it is not known.
        remembered: whether the edge has arrived, and is remembered.
    """

    now: Interval
    at_arrival: Interval | None
    truth: float | None
    remembered: bool


class Predicted(NamedTuple):
    """Predictions of n edges.

    Attributes:
        answered: low, value and high ``[n, 3]``; NaN before anything is answered.
        weighed: what the value is weighed from ``[n, K]``; NaN likewise.
    """

    answered: Doubles
    weighed: Doubles


class Learner:
    """The state of one task.

    Args:
        coverage: share of the values that shall lie in the interval.
        seed: of the head.
        most: edges that are remembered.
        directed: whether an edge from A to B is another one than from B to A.
        features: of an edge.
    """

    def __init__(self, coverage: float, seed: int, most: int, *, directed: bool, features: int = 0) -> None:
        self._seed = seed
        self.features = min(features, MOST_FEATURES)
        """Features of an edge that are inputs, F."""
        self.units = Units()
        self.history, self.margins = History(), Margins(coverage)
        self.head = Head(coverage, self.units, seed, self.features)
        self.weighing = Weighing(len(SIMPLE) + 2)
        self.edges = Remembered(most, directed=directed, features=self.features)
        self.arrived = 0
        """Edges that have arrived."""
        self.labels = 0
        """Edges whose value has come."""
        self.steps = 0
        """That heads have taken, those of earlier heads included."""
        self._labelled = LabelledPlaces(VALUES_A_STEP)
        self._fresh: list[int] = []

    @property
    def waiting(self) -> int:
        """Edges that are remembered and have no value."""
        return int(np.count_nonzero(self.edges.ring.held & np.isnan(self.edges.value)))

    @property
    def answers(self) -> bool:
        """Whether enough is known to answer."""
        return self.steps > 0

    def asked(self, ends: Rows, weight: Doubles, time: Doubles) -> Asked:
        """These edges with the values of the last edges between the same ends.

        Args:
            ends: rows of source and target ``[n, 2]``, -1 for a node that is not there.
            weight: ``[n]``.
            time: ``[n]``.
        """
        of = self.edges.value_between
        between = [(of(source, target), of(target, source)) for source, target in ends.tolist()]
        return Asked(ends[:, 0], ends[:, 1], weight, time, np.array(between).reshape(-1, 2))

    def predict(self, inputs: Inputs) -> Predicted:
        """What is answered of edges."""
        if not self.answers:
            count = len(inputs.plain)
            return Predicted(np.full((count, ANSWERED), np.nan), np.full((count, len(SIMPLE) + 2), np.nan))
        quantiles = self.head.units.long(self.margins.widened(self.head.quantiles(inputs)))
        usual = np.full(len(quantiles), self.units.centre)
        weighed = np.column_stack([inputs.simple, usual, quantiles[:, 1]])
        value = weighed @ self.weighing.weights()
        low, high = np.minimum(quantiles[:, 0], value), np.maximum(quantiles[:, 2], value)
        return Predicted(np.stack([low, value, high], axis=1), weighed)

    def arrive(self, asked: Asked, ids: Sequence[str | None], inputs: Inputs, predicted: Predicted) -> None:
        """Remember edges that have arrived, with what was known and answered then.

        Args:
            asked: the edges, with the rows of their ends now.
            ids: of the edges; None for those without.
            inputs: as they were before.
            predicted: what was answered.
        """
        self.head.observe(inputs)
        self.history.arrive(asked)
        self.arrived += len(asked.source)
        ends = np.stack([asked.source, asked.target], axis=1)
        places = self.edges.add(ends, ids, inputs, predicted.answered, predicted.weighed)
        # A place that is used again holds another edge's inputs.
        self._labelled.leave_out(places)

    def label(self, place: int, value: float) -> Scored | None:
        """Take the value of the edge at a place; its prediction at arrival, where this is the first one."""
        before, counted = float(self.edges.value[place]), self.units.bounded(value) if self.answers else value
        source, target = self.edges.ring.ends[place].tolist()
        self.history.value(source, target, float(self.edges.counted[place]), counted)
        self.edges.value[place], self.edges.counted[place] = value, counted
        if not np.isnan(before):
            return None
        self.labels += 1
        self._labelled.add(place)
        self._fresh.append(place)
        weighed, answered = self.edges.weighed[place], self.edges.answered[place].tolist()
        if np.isnan(answered[1]):
            return None
        self.weighing.learn(np.abs(weighed - value) / self.units.scale)
        return Scored(float(weighed[ENDS]), (answered[0], answered[1], answered[2]), value)

    def learn(self) -> int:
        """Follow the values that have come, and take the steps that they have made due; their number."""
        self._labelled.keep_last()
        fresh, self._fresh = np.array(self._fresh, np.int64), []
        if self.labels < FEW_VALUES:
            return 0
        if self.answers:
            # As it would be predicted now, so that values that come late and many at once count alike.
            learned = self.head.quantiles(self.edges.inputs(fresh))
            self.margins.learn(learned, self.head.units.short(self.edges.value[fresh]))
        self._follow_units(len(fresh))
        return self._take_steps(self._labelled.due())

    def answer_new(self, ends: tuple[int, int], weight: float, time: float, features: Floats) -> ValueAnswer:
        """The prediction of an edge as if it arrived now.

        Args:
            ends: rows of source and target, -1 for a node that is not there.
            weight: of the edge.
            time: at which it arrives.
            features: of the edge ``[F]``, as they are sent.
        """
        asked = self.asked(np.array([ends]), np.array([weight]), np.array([time]))
        predicted = self.predict(self.history.inputs(asked, features[None]))
        return ValueAnswer(_interval(predicted.answered[0]), None, None, remembered=False)

    def answer(self, place: int) -> ValueAnswer:
        """The prediction of the edge at a place, from what was known when it arrived."""
        now = self.predict(self.edges.inputs(np.array([place]))).answered[0]
        then, known = self.edges.answered[place], float(self.edges.value[place])
        at_arrival = None if np.isnan(then[1]) else _interval(then)
        return ValueAnswer(_interval(now), at_arrival, None if np.isnan(known) else known, remembered=True)

    def forget(self, rows: Rows) -> None:
        """Forget nodes that have left, and their edges. What the head has learned stays."""
        self.history.forget(rows)
        self.edges.ring.forget_ends(rows)

    def have_features(self, features: int) -> None:
        """Have more features of an edge as inputs, where so many were declared later; the head begins anew."""
        features = min(features, MOST_FEATURES)
        if features > self.features:
            self.features = features
            self.edges.have_features(features)
            self._begin_anew()

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        arrays, values = self.head.state()
        joined = join_parts({"head": arrays, "history": self.history.state(), "edges": self.edges.state()})
        joined |= {
            "labelled": self._labelled.places.copy(),
            "units": np.array(self.units),
            "losses": self.weighing.losses.copy(),
            "gap": np.array(self.weighing.gap),
            "margins": self.margins.sides.copy(),
        }
        plain = {"arrived": self.arrived, "labels": self.labels, "steps": self.steps, "owed": self._labelled.owed}
        return joined, plain | {"head": values}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state` of the same task."""
        self.head = Head.from_state(self.margins.coverage, take_part(arrays, "head"), values["head"])
        self.history = History.from_state(take_part(arrays, "history"))
        self.edges.restore(take_part(arrays, "edges"))
        self.features = self.edges.features.shape[1]
        self.units = Units(*arrays["units"].astype(np.float64).tolist())
        self.weighing.losses, self.weighing.gap = arrays["losses"].astype(np.float64), float(arrays["gap"])
        self.margins.sides = arrays["margins"].astype(np.float64)
        self.arrived, self.labels = values["arrived"], values["labels"]
        self.steps, self._labelled.owed = values["steps"], values["owed"]
        self._labelled.places = arrays["labelled"].astype(np.int64)

    def _follow_units(self, fresh: int) -> None:
        """Find the units of the last values; a head that learned in others that are far from them begins anew."""
        few = self.labels - fresh < _OF_UNITS
        if not few and self.labels // _UNITS_EVERY == (self.labels - fresh) // _UNITS_EVERY:
            return
        last = self._labelled.places[-_OF_UNITS:]
        if not last.size:
            return
        self.units = units_of(self.edges.value[last])
        if not self.answers or self.units.far_from(self.head.units):
            self._begin_anew()
        else:
            # What is answered lies between the least and the greatest of the last values.
            self.head.units = self.head.units._replace(lowest=self.units.lowest, highest=self.units.highest)

    def _take_steps(self, steps: int) -> int:
        places = self._labelled.places
        if not len(places) or not steps:
            return 0
        inputs, values = self.edges.inputs(places), self.edges.value[places]
        for _ in range(steps):
            self.head.learn(inputs, values)
        self.steps += steps
        return steps

    def _begin_anew(self) -> None:
        """Have a new head, which learns from the values that are remembered."""
        self.head = Head(self.margins.coverage, self.units, self._seed + self.steps, self.features)
        if len(self._labelled.places):
            self.head.observe(self.edges.inputs(self._labelled.places))
            self._take_steps(self._labelled.steps_anew())


def _interval(answered: Doubles) -> Interval:
    low, value, high = answered.tolist()
    return Interval(value, low, high)
