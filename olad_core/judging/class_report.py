"""The prequential report of one predictor, class by class: what accuracy alone does not show of rare classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LISTED_CLASSES = 20
"""Classes that a report lists one by one; the greatest ones."""


@dataclass(frozen=True)
class ClassMeasures:
    """Measures of one class; each is None where it is not defined.

    Attributes:
        precision: share of the nodes predicted to be of the class that are.
        recall: share of the nodes of the class that were predicted to be.
        f1: harmonic mean of the two.
        average_precision: mean precision over the ranking by the class's probability; None beyond the classes that
            are ranked (:data:`~olad_core.tasks.node_class.ranks.RANKED_CLASSES`).
    """

    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None


@dataclass(frozen=True)
class ClassRow:
    """One class.

    Attributes:
        name: its name.
        support: scored nodes of the class.
        predicted: scored nodes that were predicted to be of it.
        whole: over all scored nodes.
        recent: with forgetting, as for accuracy.
    """

    name: str
    support: int
    predicted: int
    whole: ClassMeasures
    recent: ClassMeasures


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix.

    Attributes:
        classes: names of rows and columns, the greatest class first.
        further: whether one more row and column stand for all other classes together.
        counts: scored nodes of each class (row) for which each class (column) was predicted.
    """

    classes: tuple[str, ...]
    further: bool
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ClassReport:
    """The report of one predictor over the predictions that it made at arrival, before the label.

    Attributes:
        scored: nodes scored.
        classes: by support, the greatest first.
        unlisted: classes with scored nodes, or predictions, that are not in ``classes``.
        commonest: name of the class of most nodes; None before the first.
        commonest_accuracy: accuracy of always predicting it; None before the first.
        commonest_macro_f1: macro-F1 of always predicting it; None before the first.
        confusion: of what was served; None for a student.
    """

    scored: int
    classes: tuple[ClassRow, ...]
    unlisted: int
    commonest: str | None
    commonest_accuracy: float | None
    commonest_macro_f1: float | None
    confusion: Confusion | None


def class_report(
    names: Sequence[str],
    counts: Floats,
    recent_counts: Floats,
    average_precision: Floats,
    recent_average_precision: Floats,
    confusion: Rows | None = None,
    *,
    most: int = LISTED_CLASSES,
) -> ClassReport:
    """The report of one predictor.

    Args:
        names: of all classes, by number.
        counts: hits, predictions and labels of each class ``[3, C]``, C at most as many as there are names.
        recent_counts: the same with forgetting.
        average_precision: ``[K]`` of the first classes.
        recent_average_precision: the same with forgetting.
        confusion: ``[K + 1, K + 1]``, the last row and column of all further classes; None without one.
        most: classes to list, at most.

    >>> counts = np.array([[90.0, 2.0], [96.0, 4.0], [92.0, 8.0]])
    >>> report = class_report(["ok", "fraud"], counts, counts, np.array([0.99, 0.6]), np.array([0.99, 0.6]))
    >>> fraud = report.classes[1]
    >>> fraud.name, fraud.support, fraud.whole.precision, fraud.whole.recall, round(fraud.whole.f1, 3)
    ('fraud', 8, 0.5, 0.25, 0.333)
    >>> report.commonest, report.commonest_accuracy
    ('ok', 0.92)
    """
    _, predicted, support = counts
    # By support, then by predictions, then by number.
    order = np.lexsort((np.arange(len(support)), -predicted, -support))
    order = order[(support + predicted)[order] > 0]
    listed = order[:most]
    whole = _measures(counts, average_precision)
    recent = _measures(recent_counts, recent_average_precision)
    rows = tuple(
        ClassRow(names[number], round(support[number]), round(predicted[number]), whole[number], recent[number])
        for number in listed.tolist()
    )
    scored, present = support.sum(), int(np.count_nonzero(support))
    share = float(support.max() / scored) if present else None
    return ClassReport(
        scored=round(scored),
        classes=rows,
        unlisted=len(order) - len(listed),
        commonest=names[int(support.argmax())] if present else None,
        commonest_accuracy=share,
        commonest_macro_f1=2 * share / (1 + share) / present if share is not None else None,
        confusion=_confusion(names, confusion, listed) if confusion is not None else None,
    )


def _measures(counts: Floats, average_precision: Floats) -> list[ClassMeasures]:
    hits, predicted, support = counts
    ranked = np.full(len(hits), np.nan)
    ranked[: len(average_precision)] = average_precision[: len(hits)]
    columns = _share(hits, predicted), _share(hits, support), _share(2 * hits, predicted + support), ranked
    values = np.stack(columns, axis=1).tolist()
    return [ClassMeasures(*(None if np.isnan(value) else value for value in row)) for row in values]


def _share(part: Floats, whole: Floats) -> Floats:
    share: Floats = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return share


def _confusion(names: Sequence[str], matrix: Rows, listed: Rows) -> Confusion:
    """The matrix of the listed classes that it knows, and of all others together where those have nodes."""
    known = listed[listed < len(matrix) - 1]
    others = np.setdiff1d(np.arange(len(matrix)), known)
    place = np.empty(len(matrix), dtype=np.int64)
    place[known], place[others] = np.arange(len(known)), len(known)
    counts = np.zeros((len(known) + 1, len(known) + 1), dtype=np.int64)
    np.add.at(counts, (place[:, None], place[None, :]), matrix)
    further = bool(counts[-1].any() or counts[:, -1].any())
    side = len(known) + further
    rows = tuple(tuple(row) for row in counts[:side, :side].tolist())
    return Confusion(tuple(names[number] for number in known.tolist()), further, rows)
