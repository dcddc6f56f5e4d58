"""The score of what was served: the prediction right after a node's arrival against its class."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from olad_core.judging.balance import fitting_metric
from olad_core.judging.lead import LeadFigure, baseline, baseline_name
from olad_core.judging.metric import Metric
from service.replay.arrival_stream import Batch

RECENT = 500


@dataclass(frozen=True)
class Accuracy:
    """Right answers among scored ones, and nodes with no answer to score."""

    right: int = 0
    scored: int = 0
    unserved: int = 0

    @property
    def value(self) -> float | None:
        """Share of right answers; None before the first."""
        return self.right / self.scored if self.scored else None


class ServedScore:
    """Prequential accuracy of the served labels.

    A node is scored once, with the answer it got right after its arrival, as soon as its class is known.

    Args:
        score_from: arrivals before this one are left out of :attr:`later`.

    >>> score = ServedScore(score_from=1)
    >>> score.record(Batch((), ("a", "b", "c"), (("a", "x"), ("b", "x"), ("c", "x"))), ["y", "x", None])
    >>> score.whole, score.later.value
    (Accuracy(right=1, scored=2, unserved=1), 1.0)
    """

    def __init__(self, score_from: int) -> None:
        self.score_from = score_from
        self.arrivals = 0
        self.whole = Accuracy()
        self.later = Accuracy()
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._later_pairs: Counter[tuple[str, str]] = Counter()
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._unscored: dict[str, tuple[bool, str]] = {}

    @property
    def recent(self) -> Accuracy:
        """Accuracy over the last :data:`RECENT` scored nodes."""
        return Accuracy(sum(self._recent), len(self._recent))

    @property
    def macro_f1(self) -> float | None:
        """Mean over classes of the F1 of each, over what :attr:`whole` counts; None before the first."""
        return _macro_f1(self._pairs)

    @property
    def macro_f1_later(self) -> float | None:
        """The same over what :attr:`later` counts."""
        return _macro_f1(self._later_pairs)

    def lead(self, metric: Metric | None = None) -> LeadFigure:
        """The score that stands first, over what :attr:`whole` counts.

        Args:
            metric: what is declared. Labels alone show accuracy and macro-F1; for the others, and for None, it is one
                of the two by how even the classes are.
        """
        support = Counter[str]()
        for (_, truth), number in self._pairs.items():
            support[truth] += number
        names = sorted(support)
        nodes = np.array([support[name] for name in names], dtype=np.float64)
        declared = metric is not None and metric.kind in {"accuracy", "macro_f1"}
        found = metric if metric is not None and declared else fitting_metric(nodes)
        commonest = names[int(nodes.argmax())] if names else None
        return LeadFigure(
            metric=str(found),
            declared=declared,
            lower_is_better=found.lower_is_better,
            value=self.whole.value if found.kind == "accuracy" else self.macro_f1,
            recent=None,
            baseline=baseline(found, nodes, None),
            baseline_recent=None,
            baseline_of=baseline_name(found, commonest),
        )

    def record(self, batch: Batch, served: Sequence[str | None]) -> None:
        """Take in a batch and the label served for each of its nodes (None: no prediction was there)."""
        for node, label in zip(batch.nodes, served, strict=True):
            is_late = self.arrivals >= self.score_from
            self.arrivals += 1
            if label is None:
                self.whole = _plus(self.whole, unserved=1)
                self.later = _plus(self.later, unserved=int(is_late))
            else:
                self._unscored[node] = (is_late, label)
        for node, truth in batch.truths:
            if node in self._unscored:
                is_late, label = self._unscored.pop(node)
                right = label == truth
                self._recent.append(right)
                self._pairs[label, truth] += 1
                self.whole = _plus(self.whole, right=int(right), scored=1)
                if is_late:
                    self._later_pairs[label, truth] += 1
                    self.later = _plus(self.later, right=int(right), scored=1)


def _macro_f1(pairs: Counter[tuple[str, str]]) -> float | None:
    """Out of how often each label was served for each truth."""
    hits, support = Counter[str](), Counter[str]()
    for (label, truth), number in pairs.items():
        support[label] += number
        support[truth] += number
        if label == truth:
            hits[label] += number
    return sum(2 * hits[name] / support[name] for name in support) / len(support) if support else None


def _plus(score: Accuracy, right: int = 0, scored: int = 0, unserved: int = 0) -> Accuracy:
    return Accuracy(score.right + right, score.scored + scored, score.unserved + unserved)
