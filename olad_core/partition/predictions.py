"""What students predict of nodes, computed by their owners and known at all ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from olad_core.graph.arrays import Float32s, Int64s
from olad_core.learning.group import Group
from olad_core.partition.exchange import Superstep, to_all
from olad_core.partition.held import HeldPart, combined
from olad_core.partition.sampling import sample_over_ranks
from olad_core.partition.store import PartitionStore
from olad_core.parts import whole
from olad_core.students import Student


class Predicted(NamedTuple):
    """Predictions, the same at all ranks.

    Attributes:
        numbers: of n nodes, ascending.
        shares: ``[n, P, C]``, class probabilities by each predictor; NaN where it has no answer.
    """

    numbers: Int64s
    shares: Float32s


def predict_over_ranks(
    store: PartitionStore,
    group: Group,
    numbers: Int64s,
    key: int,
    beside: Mapping[str, Student] | None = None,
    served: HeldPart | None = None,
) -> Superstep[Predicted]:
    """Class probabilities by the students as they are now, from sampled neighbourhoods; the nodes' labels are hidden.

    Args:
        store: this rank's part.
        group: the students.
        numbers: of nodes, the same at all ranks; those that have left are passed over.
        key: of what is drawn.
        beside: further students, predictors after those of the group.
        served: one more predictor, the last one; None for none.
    """
    students = group.by_name | dict(beside or {})
    rows = store.own_rows(np.sort(numbers))
    rows = rows[rows >= 0]
    classes, width = group.num_classes(store.graph), group.shape.feature_width
    drawn = yield from sample_over_ranks(store, rows, group.config.fanouts, key, width)
    predictors = len(students) + (served is not None)
    records = np.empty(rows.size, [("number", "<i8"), ("shares", "<f4", (predictors, classes))])
    records["number"] = store.number[rows]

    def shares(by: Mapping[str, Student], known: int) -> Float32s:
        return whole(group.probabilities_on(drawn.sample, by, known)).transpose(1, 0, 2)

    if rows.size:
        records["shares"][:, : len(students)] = shares(students, classes)
    if served is not None and rows.size:
        known = min(classes, len(served.version.classes))
        answers, combination = served.answers(rows)[:, 1 : known + 1], served.weights.combination
        # A label that came with the node is an input of what is served, and must not help to predict itself.
        labelled = store.graph.label[rows] >= 0
        if labelled.any() and served.weights.students[0].feature_width == width:
            apart = shares(served.students, known)[labelled]
            answers[labelled] = combined(combination, apart)[:, 1:] if combination else apart[:, 0]
        elif labelled.any():
            answers[labelled] = np.nan
        records["shares"][:, -1] = 0
        records["shares"][:, -1, :known] = answers
    received = yield to_all("predictions", records, store.rank, store.ranks)
    every = np.concatenate([*received, records])
    every = every[np.argsort(every["number"])]
    return Predicted(every["number"].copy(), every["shares"].copy())
