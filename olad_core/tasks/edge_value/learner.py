"""One task on values of edges: predicts edges when they arrive, remembers them, and learns from their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.named_state import join_parts, take_part
from olad_core.tasks.edge_value.history import ENDS, SIMPLE, WIDTH, Asked, History, Inputs
from olad_core.tasks.edge_value.remembered import Remembered
from olad_core.tasks.values.model import Interval, Predicted, Scored, ValueModel, interval

Rows = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

MOST_FEATURES = 256
"""Features of an edge that are inputs: the first ones."""


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
        self.features = min(features, MOST_FEATURES)
        """Features of an edge that are inputs, F."""
        self.history = History()
        self.edges = Remembered(most, directed=directed, features=self.features)
        self.model: ValueModel[Inputs] = ValueModel(coverage, seed, WIDTH + self.features, len(SIMPLE), self.edges)
        self.arrived = 0
        """Edges that have arrived."""

    @property
    def waiting(self) -> int:
        """Edges that are remembered and have no value."""
        return int(np.count_nonzero(self.edges.ring.held & np.isnan(self.edges.value)))

    @property
    def answers(self) -> bool:
        """Whether enough is known to answer."""
        return self.model.answers

    @property
    def labels(self) -> int:
        """Edges whose value has come."""
        return self.model.labels

    @property
    def steps(self) -> int:
        """That heads have taken, those of earlier heads included."""
        return self.model.steps

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
        return self.model.predict(inputs)

    def arrive(self, asked: Asked, ids: Sequence[str | None], inputs: Inputs, predicted: Predicted) -> None:
        """Remember edges that have arrived, with what was known and answered then.

        Args:
            asked: the edges, with the rows of their ends now.
            ids: of the edges; None for those without.
            inputs: as they were before.
            predicted: what was answered.
        """
        self.model.head.observe(inputs)
        self.history.arrive(asked)
        self.arrived += len(asked.source)
        ends = np.stack([asked.source, asked.target], axis=1)
        places = self.edges.add(ends, ids, inputs, predicted.answered, predicted.weighed)
        # A place that is used again holds another edge's inputs.
        self.model.replaced(places)

    def label(self, place: int, value: float) -> Scored | None:
        """Take the value of the edge at a place; its prediction at arrival, where this is the first one."""
        before, counted = float(self.edges.value[place]), self.model.counted(value)
        source, target = self.edges.ring.ends[place].tolist()
        self.history.value(source, target, float(self.edges.counted[place]), counted)
        self.edges.value[place], self.edges.counted[place] = value, counted
        if not np.isnan(before):
            return None
        self.model.label(place)
        weighed, answered = self.edges.weighed[place], self.edges.answered[place].tolist()
        if np.isnan(answered[1]):
            return None
        self.model.score(weighed, value)
        return Scored(float(weighed[ENDS]), (answered[0], answered[1], answered[2]), value)

    def learn(self) -> int:
        """Follow the values that have come, and take the steps that they have made due; their number."""
        return self.model.learn()

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
        return ValueAnswer(interval(predicted.answered[0]), None, None, remembered=False)

    def answer(self, place: int) -> ValueAnswer:
        """The prediction of the edge at a place, from what was known when it arrived."""
        now = self.predict(self.edges.inputs(np.array([place]))).answered[0]
        then, known = self.edges.answered[place], float(self.edges.value[place])
        at_arrival = None if np.isnan(then[1]) else interval(then)
        return ValueAnswer(interval(now), at_arrival, None if np.isnan(known) else known, remembered=True)

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
            self.model.begin_anew(WIDTH + features)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        arrays, values = self.model.state()
        joined = arrays | join_parts({"history": self.history.state(), "edges": self.edges.state()})
        return joined, values | {"arrived": self.arrived}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state` of the same task."""
        self.model.restore(arrays, values)
        self.history = History.from_state(take_part(arrays, "history"))
        self.edges.restore(take_part(arrays, "edges"))
        self.features = self.edges.features.shape[1]
        self.arrived = values["arrived"]
