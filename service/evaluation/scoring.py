"""The prequential scores of one contestant: each prediction at arrival is scored when its class is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from olad_core.config import EngineConfig
from olad_core.judging.paired import Outcomes
from olad_core.judging.prequential import Scores
from olad_core.tasks import node_class
from service.evaluation.players import Answers
from service.evaluation.waiting import Waiting

Rows = npt.NDArray[np.int64]
_MEMORY = EngineConfig().score_memory


class ClassNumbers:
    """The classes by number, in the order in which they are met; the same for all contestants."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The number of a class; a new one for one that has not been met.

        >>> numbers = ClassNumbers()
        >>> numbers.number("ok"), numbers.number("fraud"), numbers.number("ok")
        (0, 1, 0)
        """
        if name not in self._numbers:
            self._numbers[name] = len(self.names)
            self.names.append(name)
        return self._numbers[name]


class Scoring:
    """Scores of one contestant.

    Args:
        classes: numbers of the classes.
        score_from: arrivals before this one are left out of :attr:`later`.
    """

    def __init__(self, classes: ClassNumbers, score_from: int) -> None:
        self.whole = Scores(1, _MEMORY)
        self.later = Scores(1, _MEMORY)
        self._score_from = score_from
        self._classes = classes
        self._waiting: Waiting[tuple[int, npt.NDArray[np.float32], int]] = Waiting()
        self._predicted: list[int] = []
        self._loss: list[float] = []

    def remember(self, first: int, nodes: Sequence[str], answers: Answers, most: int) -> None:
        """Remember what is predicted of nodes.

        Args:
            first: number of the first one's arrival.
            nodes: in the order of their arrivals.
            answers: what is predicted of them.
            most: nodes that wait for their class, the same for all contestants; the oldest are forgotten.
        """
        numbers = [self._classes.number(name) for name in answers.classes]
        # Without any class there is no answer either: one column shows that.
        width = max(1, len(self._classes.names))
        for place, node in enumerate(nodes):
            row = np.full(width, np.nan, dtype=np.float32)
            if numbers and np.isfinite(answers.probabilities[place]).all():
                row[:] = 0
                row[numbers] = answers.probabilities[place]
            label = answers.labels[place] if answers.labels is not None else node_class.NO_CLASS
            self._waiting.add(node, (first + place, row, numbers[label] if label >= 0 else node_class.NO_CLASS), most)

    def score(self, truths: Sequence[tuple[str, str]]) -> None:
        """Score what was predicted of nodes whose class is known now; each node once."""
        waited = ((self._waiting.take(node), label) for node, label in truths)
        known = [(*found, self._classes.number(label)) for found, label in waited if found is not None]
        if not known:
            return
        arrivals, rows, served, labels = zip(*known, strict=True)
        width = max(map(len, rows))
        probabilities = np.stack([np.pad(row, (0, width - len(row))) for row in rows])[:, None]
        truth = np.array(labels, dtype=np.int64)
        given = np.array(served, dtype=np.int64)
        found = self.whole.add(probabilities, truth, served=given)
        late = np.array(arrivals) >= self._score_from
        if late.any():
            self.later.add(probabilities[late], truth[late], served=given[late])
        predicted = found.predicted[:, 0]
        self._predicted += np.where(given >= 0, given, predicted).tolist()
        self._loss += found.loss[:, 0].tolist()

    @property
    def outcomes(self) -> Outcomes:
        """Of every scored arrival, in order."""
        return Outcomes(np.array(self._predicted, dtype=np.int64), np.array(self._loss, dtype=np.float64))
