"""The events of a batch in arrays, which compiled loops take."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from olad_core.graph.arrays import Float32s, Float64s, Int32s, Int64s, UInt8s

UPSERT_NODE, REMOVE_NODE, UPSERT_EDGE, REMOVE_EDGE, LABEL_NODE, TASK_LABEL = range(6)
"""Kinds of events, and of operations on edges."""
NO_FEATURES, DENSE, SPARSE = range(3)
"""Forms of features."""
TYPE_START, TYPE_LENGTH, TYPE, ID_START, ID_LENGTH = range(5)
"""Places in ``Columns.types``."""
NO_TYPE, NO_WIDTH_OF_TYPE, NOT_BY_ID = -1, -2, -3
"""Numbers of events whose type is not there, or has not as many features, or of edges that are named in another way."""


class Columns(NamedTuple):
    """The events of a batch in arrays. An event has two texts, those of the i-th stand at ``2 * i`` and ``2 * i + 1``.

    Attributes:
        kind: uint8 ``[n]``, ``UPSERT_NODE`` and so on.
        text: uint8, bytes that the texts are parts of.
        start: int64 ``[2 n]``: of the id and the label, or of both ends of the edge.
        length: int32 ``[2 n]``; 0 where there is no such text.
        weight: float64 ``[n]``, NaN where there is none.
        time: float64 ``[n]``, NaN where there is none.
        form: uint8 ``[n]``: ``NO_FEATURES``, ``DENSE`` or ``SPARSE``.
        first: int64 ``[n]``, where the features begin in ``value``, and their indices in ``place``.
        width: int64 ``[n]``, how many there are.
        value: float32.
        place: int32, as long as ``value``; meaningful for sparse features.
        types: int64 ``[5, n]``, of edges and upserts of nodes: where the name of the type begins, how long it is (0
            where the event names none), and the number of the type, negative where the event does not fit any; where
            the id of the edge begins, and how long it is (0 where it has none).
    """

    kind: UInt8s
    text: UInt8s
    start: Int64s
    length: Int32s
    weight: Float64s
    time: Float64s
    form: UInt8s
    first: Int64s
    width: Int64s
    value: Float32s
    place: Int32s
    types: Int64s


def empty_columns(text: UInt8s, events: int, values: int) -> Columns:
    """Columns of so many events, with so many feature values together; what they hold is undefined."""
    return Columns(
        kind=np.empty(events, np.uint8),
        text=text,
        start=np.empty(2 * events, np.int64),
        length=np.empty(2 * events, np.int32),
        weight=np.empty(events),
        time=np.empty(events),
        form=np.empty(events, np.uint8),
        first=np.empty(events, np.int64),
        width=np.empty(events, np.int64),
        value=np.empty(values, np.float32),
        place=np.empty(values, np.int32),
        types=np.zeros((5, events), np.int64),
    )
