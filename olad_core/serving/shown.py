"""What is published of answers: all classes, or the most likely ones where there are many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.serving.embedding import Embedding
from olad_core.tasks import node_class

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shown:
    """Of n rows.

    Attributes:
        probabilities: of all classes ``[n, C]``, or of the most likely ones ``[n, B]``, the likeliest first.
        disagreement: ``[n]``.
        classes: int32 ``[n, B]``, which classes these are; None where they are all.
    """

    probabilities: npt.NDArray[np.float32]
    disagreement: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int32] | None


def shown_answers(embedding: Embedding, rows: Rows) -> Shown:
    """What is published of computed rows."""
    if not node_class.are_wide(embedding.classes):
        return Shown(*embedding.answers(rows), None)
    classes, shares, differing = [], [], []
    for piece in embedding.pieces(rows):
        probabilities, disagreement = embedding.answers(piece)
        best, of_best = node_class.best_classes(probabilities)
        classes.append(best)
        shares.append(of_best)
        differing.append(disagreement)
    return Shown(np.concatenate(shares), np.concatenate(differing), np.concatenate(classes))
