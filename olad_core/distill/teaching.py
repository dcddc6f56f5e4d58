"""Who teaches whom: the weights of the group's virtual teacher."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def better_teach(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Every student is taught, in equal parts, by those whose prequential score is higher than its own.

    Under drift the opinion of the whole group is yesterday's opinion; evidence of late is what tells who may
    teach. The best student, and all of them before the first score, are taught by nobody.

    Args:
        scores: ``[G]``, recent accuracy; NaN where nothing is scored yet.

    Returns:
        ``[G, G]``; rows sum to one or are zero.

    >>> better_teach(np.array([0.7, 0.9, 0.8]))
    array([[0. , 0.5, 0.5],
           [0. , 0. , 0. ],
           [0. , 1. , 0. ]], dtype=float32)
    """
    better = (scores[None, :] > scores[:, None]).astype(np.float32)
    teaching: npt.NDArray[np.float32] = better / np.maximum(better.sum(axis=1, keepdims=True), 1)
    return teaching
