"""Labels of many rows at once, as readers see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.serving.publication import TableUpdate
from olad_core.tasks.label_rule import LabelRule, decide, decide_among
from service.store.rows import SHORT_FORMAT, ShortRowDecoder, WholeRowDecoder


@dataclass(frozen=True)
class Labels:
    """Labels of N nodes; None for a node without one.

    Attributes:
        names: classes.
        probabilities: of these classes.
    """

    names: Sequence[str | None]
    probabilities: Sequence[float]


def labels_of_update(update: TableUpdate, classes: Sequence[str], rule: LabelRule) -> Labels:
    """The labels that rows of a publication have.

    Args:
        update: the rows.
        classes: of their version.
        rule: that decides.
    """
    return _labels(update.classes, update.probabilities, classes, rule)


def labels_of_rows(rows: Sequence[bytes | None], row_format: int, classes: Sequence[str], rule: LabelRule) -> Labels:
    """The labels of rows as they are stored; None stands for a row that is not there."""
    there = [row for row in rows if row is not None]
    if not there:
        return Labels([None] * len(rows), [0.0] * len(rows))
    if row_format == SHORT_FORMAT:
        ranked = ShortRowDecoder().ranked(there, ShortRowDecoder.held)
        found = _labels(ranked.classes, ranked.probabilities, classes, rule)
    else:
        found = _labels(None, WholeRowDecoder(len(classes)).all_of(there), classes, rule)
    if len(there) == len(rows):
        return found
    each = iter(zip(found.names, found.probabilities, strict=True))
    pairs = [(None, 0.0) if row is None else next(each) for row in rows]
    return Labels([name for name, _ in pairs], [probability for _, probability in pairs])


def _labels(
    places: npt.NDArray[np.int32] | None,
    probabilities: npt.NDArray[np.float32],
    classes: Sequence[str],
    rule: LabelRule,
) -> Labels:
    """Labels from probabilities of all classes, or of those at some places, the likeliest first."""
    if not len(probabilities):
        return Labels((), ())
    if not rule:
        column = probabilities.argmax(axis=1) if places is None else np.zeros(len(probabilities), np.int64)
        chosen = column if places is None else places[:, 0]
    else:
        table = rule.table(classes)
        if places is None:
            chosen = column = decide(probabilities, table)
        else:
            chosen = decide_among(places, probabilities, table)
            column = (places == chosen[:, None]).argmax(axis=1)
    shares = np.take_along_axis(probabilities, column[:, None], axis=1)[:, 0]
    return Labels([classes[place] for place in chosen.tolist()], shares.tolist())
