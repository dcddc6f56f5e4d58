"""The features that events give to edges, as rows of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from olad_core.events import Features


def features_given(vectors: Sequence[Features | None], width: int) -> npt.NDArray[np.float32]:
    """Features of edges ``[n, width]``: the first ones of each vector, zeros where there are none.

    >>> from olad_core.events import SparseFeatures
    >>> features_given([[1.0, 2.0], None, SparseFeatures([1, 7], [3.0, 4.0])], 2).tolist()
    [[1.0, 2.0], [0.0, 0.0], [0.0, 3.0]]
    """
    rows = np.zeros((len(vectors), width), np.float32)
    for row, vector in zip(rows, vectors, strict=True):
        if isinstance(vector, list):
            dense = vector[:width]
            row[: len(dense)] = dense
        elif vector is not None:
            index = np.array(vector.indices, np.int64)
            inside = index < width
            row[index[inside]] = np.array(vector.values, np.float32)[inside]
    return rows
