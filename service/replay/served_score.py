"""The score of what was served: the prediction right after a node's arrival against its class."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from olad_core.judging.balance import fitting_metric
from olad_core.judging.class_report import ClassReport, class_report
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


@dataclass(frozen=True)
class Ranking:
    """Scored arrivals in the order of the probability that was served for one class, the greatest first.

    Attributes:
        class_name: the class.
        ranked: scored arrivals with such a probability.
        of_class: those of the class.
        top: the first hundredth of them, at least one; 0 where there are none.
        found: those of the class among the top.
        average_precision: mean precision over the ranking; None without a node of the class.
    """

    class_name: str
    ranked: int
    of_class: int
    top: int
    found: int
    average_precision: float | None

    @property
    def precision(self) -> float | None:
        """Share of the top that is of the class; None where there are none."""
        return self.found / self.top if self.top else None


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
        self._unscored: dict[str, tuple[bool, str, float | None]] = {}
        self._shares = array("d")
        self._truths: list[str] = []

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

    def ranking(self, class_name: str) -> Ranking:
        """The order by the probabilities that were recorded, which are those of this class."""
        shares, hits = np.array(self._shares), np.array([truth == class_name for truth in self._truths], np.float64)
        top = -(-len(shares) // 100)
        precise, of_class = 0.0, int(hits.sum())
        order = np.argsort(-shares, kind="stable")
        found = np.cumsum(hits[order])
        # Nodes of one probability have no order among themselves: each has the precision at the last of them.
        last = np.searchsorted(-shares[order], -shares[order], side="right") - 1
        if of_class:
            precise = float((found[last] / (last + 1))[hits[order] > 0].sum() / of_class)
        return Ranking(
            class_name, len(shares), of_class, top, int(hits[order][:top].sum()), precise if of_class else None
        )

    def class_report(self, ranked: str | None = None) -> ClassReport | None:
        """Class by class, over what :attr:`whole` counts; None before the first score.

        Args:
            ranked: the class whose probabilities were recorded; it has an average precision.
        """
        names = sorted({name for pair in self._pairs for name in pair})
        if not names:
            return None
        place = {name: at for at, name in enumerate(names)}
        counts = np.zeros((3, len(names)))
        for (label, truth), number in self._pairs.items():
            counts[0, place[label]] += number * (label == truth)
            counts[1, place[label]] += number
            counts[2, place[truth]] += number
        precise = np.full(len(names), np.nan)
        if ranked in place and (found := self.ranking(ranked).average_precision) is not None:
            precise[place[ranked]] = found
        return class_report(names, counts, counts, precise, precise)

    def record(self, batch: Batch, served: Sequence[str | None], shares: Sequence[float | None] | None = None) -> None:
        """Take in a batch.

        Args:
            batch: as it was sent.
            served: the label served for each of its nodes; None where no prediction was there.
            shares: the probability of the ranked class that was served for each; None where none is known.
        """
        for node, label, share in zip(batch.nodes, served, shares or [None] * len(served), strict=True):
            is_late = self.arrivals >= self.score_from
            self.arrivals += 1
            if label is None:
                self.whole = _plus(self.whole, unserved=1)
                self.later = _plus(self.later, unserved=int(is_late))
            else:
                self._unscored[node] = (is_late, label, share)
        for node, truth in batch.truths:
            if node in self._unscored:
                is_late, label, share = self._unscored.pop(node)
                if share is not None:
                    self._shares.append(share)
                    self._truths.append(truth)
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
