"""Who teaches whom: the weights of the group's virtual teacher."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SHARPNESS = 20.0
"""A teacher that is right five percentage points more often has e times the weight."""


def evidence_teaches(
    quality: npt.NDArray[np.float64], training_loss: npt.NDArray[np.float64], strength: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Every student is taught by all others, the more by each the better it is and the more it has learned itself.

    Args:
        quality: ``[G]``, expected accuracy; NaN where nothing is known.
        training_loss: ``[G]``, mean supervised loss of the last steps.
        strength: ``[G]``, how much each student is to be taught, from 0 to 1.

    Returns:
        ``[G, G]``, how much student ``j`` teaches student ``i``; rows sum to the strength.

    >>> evidence_teaches(np.array([0.7, 0.8, 0.7]), np.zeros(3), np.array([1.0, 0.5, 1.0])).round(2)
    array([[0.  , 0.88, 0.12],
           [0.25, 0.  , 0.25],
           [0.12, 0.88, 0.  ]], dtype=float32)
    """
    group = len(quality)
    known = np.where(np.isfinite(quality), quality, np.nanmean(quality) if np.isfinite(quality).any() else 0.0)
    worth = np.exp(SHARPNESS * (known - known.max()) - (training_loss - training_loss.min()))
    weight = worth[None, :] * (1 - np.eye(group))
    teaching = strength[:, None] * weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    result: npt.NDArray[np.float32] = teaching.astype(np.float32)
    return result
