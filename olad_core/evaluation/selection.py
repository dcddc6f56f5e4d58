"""Choice of the student to serve."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def choose_best(
    quality: npt.NDArray[np.float64], training_loss: npt.NDArray[np.float64], current: int | None, *, margin: float
) -> int:
    """The student with the highest expected accuracy, with hysteresis.

    A challenger takes over only when it is better by ``margin``, so that two equals do not alternate. While
    nothing is known of some student, the lowest training loss decides on the first one.

    Args:
        quality: ``[G]``, expected accuracy (:class:`~olad_core.evaluation.evidence.Evidence`); NaN where unknown.
        training_loss: ``[G]``, mean supervised loss of the last steps.
        current: the student being served.
        margin: by how much another one's quality must be higher.

    >>> quality, losses = np.array([0.80, 0.81, 0.79]), np.zeros(3)
    >>> choose_best(quality, losses, 0, margin=0.02)
    0
    >>> choose_best(quality, losses, 2, margin=0.01)
    1
    """
    if not np.isfinite(quality).all():
        return int(np.argmin(training_loss)) if current is None else current
    best = int(np.argmax(quality))
    if current is None or quality[best] > quality[current] + margin:
        return best
    return current
