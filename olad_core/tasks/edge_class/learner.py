"""One task on edges: predicts edges when they arrive, remembers them, and learns from their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.errors import OladError
from olad_core.named_state import join_parts, take_part
from olad_core.task_types import MAX_EDGE_CLASSES
from olad_core.tasks.edge_class.guard import Guard
from olad_core.tasks.edge_class.head import Head
from olad_core.tasks.edge_class.history import UNKNOWN, Asked, History, Inputs
from olad_core.tasks.edge_class.remembered import Answered, Remembered
from olad_core.tasks.labelled_places import LabelledPlaces

Rows = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

LABELS_A_STEP = 2
"""The head takes a step for every so many labels."""
MOST_FEATURES = 256
"""Features of an edge that are inputs: the first ones."""


class TooManyEdgeClasses(OladError, ValueError):
    """A label would be a class more than a task may have."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} would be a new class, and the task has the {MAX_EDGE_CLASSES} that it may have")


class Scored(NamedTuple):
    """A prediction at arrival whose label has come.

    Attributes:
        probabilities: float32 ``[2, C]``: the shares of the classes when the label came, then what was answered.
        label: class.
    """

    probabilities: Floats
    label: int


@dataclass(frozen=True)
class EdgeAnswer:
    """The prediction of an edge.

    Attributes:
        probabilities: by class, now. Of an edge that is remembered they are of what was known when it arrived.
        at_arrival: by class, as they were then; None for an edge that is not remembered, or had no answer.
        truth: its label; None where it is not known.
        remembered: whether the edge has arrived, and is remembered.
    """

    probabilities: dict[str, float]
    at_arrival: dict[str, float] | None
    truth: str | None
    remembered: bool


class Learner:
    """The state of one task.

    Args:
        classes: names that are known from the start.
        seed: of the head.
        most: edges that are remembered.
        directed: whether an edge from A to B is another one than from B to A.
        features: of an edge.
    """

    def __init__(self, classes: Sequence[str], seed: int, most: int, *, directed: bool, features: int = 0) -> None:
        self.classes = list(classes)
        self._seed = seed
        places = _places(len(self.classes))
        self.features = min(features, MOST_FEATURES)
        """Features of an edge that are inputs, F."""
        self.history, self.head = History(places), Head(places, seed, self.features)
        self.guard = Guard()
        self.edges = Remembered(places, most, directed=directed, features=self.features)
        self.arrived = 0
        """Edges that have arrived."""
        self.labels = 0
        """Edges whose label has come."""
        self._labelled = LabelledPlaces(LABELS_A_STEP)

    @property
    def waiting(self) -> int:
        """Edges that are remembered and have no label."""
        return int(np.count_nonzero(self.edges.ring.held & (self.edges.label < 0)))

    @property
    def answers(self) -> bool:
        """Whether the head has learned anything."""
        return self.head.steps > 0

    def asked(
        self,
        ends: Rows,
        weight: Doubles,
        time: Doubles,
        also: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]] | None = None,
    ) -> Asked:
        """These edges with what is remembered of earlier edges between the same ends.

        Args:
            ends: rows of source and target ``[n, 2]``, -1 for a node that is not there.
            weight: ``[n]``.
            time: ``[n]``.
            also: as :class:`Asked` has it.
        """
        same = [self.edges.label_between(source, target) for source, target in ends.tolist()]
        turned = [self.edges.label_between(target, source) for source, target in ends.tolist()]
        known = np.array(same, np.int64), np.array(turned, np.int64)
        return Asked(ends[:, 0], ends[:, 1], weight, time, *known, also)

    def predict(self, inputs: Inputs, labels: Doubles | None = None) -> Answered:
        """Probabilities ``[n, C]``; NaN before the head has learned anything.

        Args:
            inputs: of n edges.
            labels: of each class ``[K]``, where other ones are meant than those that have come.
        """
        edges, shares = len(inputs.plain), self._usual(labels)
        if not self.answers:
            none = np.full((edges, len(shares)), np.nan, np.float32)
            return Answered(none, none, none)
        own, base = self.head.probabilities(inputs, shares), np.tile(shares, (edges, 1))
        return Answered(self.guard.mixed(base, own), base, own)

    def arrive(self, asked: Asked, ids: Sequence[str | None], inputs: Inputs, answered: Answered) -> None:
        """Remember edges that have arrived, with what was known and answered then.

        Args:
            asked: the edges, with the rows of their ends now.
            ids: of the edges; None for those without.
            inputs: as they were before.
            answered: what was predicted of them.
        """
        self.head.observe(inputs)
        self.history.arrive(asked)
        self.arrived += len(ids)
        places = self.edges.add(np.stack([asked.source, asked.target], axis=1), ids, inputs, answered)
        # A place that is used again holds another edge's inputs.
        self._labelled.leave_out(places)

    def label(self, place: int, name: str) -> Scored | None:
        """Take the label of the edge at a place; its prediction at arrival, where this is the first label.

        Raises:
            TooManyEdgeClasses: it would be a class more than there may be.
        """
        number, before = self._number(name), int(self.edges.label[place])
        if number == before:
            return None
        scored = self._scored(place, number) if before == UNKNOWN else None
        if scored is not None and np.isfinite(self.edges.own[place]).all():
            self.guard.score(self.edges.shares[place], self.edges.own[place], number)
        source, target = self.edges.ring.ends[place].tolist()
        self.history.label(source, target, before, number)
        self.edges.label[place] = number
        if scored is not None:
            self.labels += 1
            self._labelled.add(place)
        return scored

    def learn(self) -> int:
        """Take the steps that labels have made due; their number."""
        self._labelled.keep_last()
        if len(self.classes) < 2:
            return 0
        return self._take_steps(self._labelled.due())

    def answer_new(self, ends: tuple[int, int], weight: float, time: float, features: Floats) -> EdgeAnswer:
        """The prediction of an edge as if it arrived now.

        Args:
            ends: rows of source and target, -1 for a node that is not there.
            weight: of the edge.
            time: at which it arrives.
            features: of the edge ``[F]``, as they are sent.
        """
        asked = self.asked(np.array([ends]), np.array([weight]), np.array([time]))
        inputs = self.history.inputs(asked, features[None])
        return EdgeAnswer(self._named(self.predict(inputs).mixed[0]), None, None, remembered=False)

    def answer(self, place: int) -> EdgeAnswer:
        """The prediction of the edge at a place, from what was known when it arrived."""
        now = self.predict(self.edges.inputs(np.array([place]))).mixed[0]
        then, known = self.edges.answered[place, : len(self.classes)], int(self.edges.label[place])
        at_arrival = self._named(then) if np.isfinite(then).all() else None
        return EdgeAnswer(self._named(now), at_arrival, self.classes[known] if known >= 0 else None, remembered=True)

    def forget(self, rows: Rows) -> None:
        """Forget nodes that have left, and their edges. What the head has learned stays."""
        self.history.forget(rows)
        self.edges.ring.forget_ends(rows)

    def know(self, classes: Sequence[str]) -> None:
        """Take over declared classes; those of before keep their numbers."""
        for name in classes:
            self._number(name)

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
        parts = {"head": arrays, "history": self.history.state(), "edges": self.edges.state()}
        joined = join_parts({**parts, "guard": self.guard.state()})
        plain = {"classes": self.classes, "arrived": self.arrived, "labels": self.labels, "owed": self._labelled.owed}
        return joined | {"labelled": self._labelled.places.copy()}, plain | {"head": values}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state` of the same task."""
        self.guard.restore(take_part(arrays, "guard"))
        self.history = History.from_state(take_part(arrays, "history"))
        self.edges.restore(take_part(arrays, "edges"))
        self.features = self.edges.features.shape[1]
        self.classes = list(values["classes"])
        self.arrived, self.labels, self._labelled.owed = values["arrived"], values["labels"], values["owed"]
        self._labelled.places = arrays["labelled"].astype(np.int64)
        head = Head.from_state(take_part(arrays, "head"), values["head"])
        if head.fits(self.history.places, self.features) and values["head"].get("adds_to_shares"):
            self.head = head
        else:  # Its weights are of an earlier form.
            self._begin_anew()

    def _take_steps(self, steps: int) -> int:
        places = self._labelled.places
        if not len(places):
            return 0
        inputs, labels = self.edges.inputs(places), self.edges.label[places].astype(np.int64)
        shares = self._usual()
        for _ in range(steps):
            self.head.learn(inputs, labels, shares)
        return steps

    def _scored(self, place: int, label: int) -> Scored:
        """The prediction at arrival, with that of who knows only the shares of the classes."""
        return Scored(np.stack([self._usual(), self.edges.answered[place, : len(self.classes)]]), label)

    def _usual(self, labels: Doubles | None = None) -> Floats:
        """Shares of the classes among the labels ``[C]``, each counted once more."""
        classes, labels = len(self.classes), self.history.total if labels is None else labels
        usual: Floats = ((labels[:classes] + 1) / (labels.sum() + classes)).astype(np.float32)
        return usual

    def _number(self, name: str) -> int:
        if name not in self.classes:
            if len(self.classes) >= MAX_EDGE_CLASSES:
                raise TooManyEdgeClasses(name)
            self.classes.append(name)
            if len(self.classes) > self.head.places:
                self._widen(_places(len(self.classes)))
        return self.classes.index(name)

    def _widen(self, places: int) -> None:
        """Have places for more classes."""
        self.edges.widen(places)
        self.history.widen(places)
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Have a new head, which learns from the labels that are remembered."""
        places = self.history.places
        self.head = Head(places, self._seed + places, self.features)
        if len(self._labelled.places):
            self.head.observe(self.edges.inputs(self._labelled.places))
            self._take_steps(self._labelled.steps_anew())

    def _named(self, probabilities: Floats) -> dict[str, float]:
        return dict(zip(self.classes, probabilities.tolist(), strict=True))


def _places(classes: int) -> int:
    """Places for so many classes: a power of two, 2 at least.

    >>> [_places(classes) for classes in (0, 2, 3, 9)]
    [2, 2, 4, 16]
    """
    return 1 << max(1, (classes - 1).bit_length())
