"""Choice of the student to serve."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def choose_best(
    accuracy: npt.NDArray[np.float64],
    scored: npt.NDArray[np.int64],
    training_loss: npt.NDArray[np.float64],
    current: int | None,
    *,
    margin: float,
    least_scored: int,
) -> int:
    """The student with the highest recent accuracy, with hysteresis.

    A challenger takes over only when it is better by ``margin``, so that two equals do not alternate. Until
    ``least_scored`` nodes are scored, accuracy says little: then the lowest training loss decides.

    Args:
        accuracy: ``[G]``, recent prequential accuracy; NaN where unknown.
        scored: ``[G]``, nodes scored.
        training_loss: ``[G]``, mean supervised loss of the last steps.
        current: the student being served.
        margin: by how much another one's accuracy must be higher.
        least_scored: nodes every student must have been scored on before accuracy decides.

    >>> scores, losses = np.array([0.80, 0.81, 0.79]), np.zeros(3)
    >>> choose_best(scores, np.full(3, 500), losses, 0, margin=0.02, least_scored=50)
    0
    >>> choose_best(scores, np.full(3, 500), losses, 2, margin=0.01, least_scored=50)
    1
    """
    if not enough_scored(accuracy, scored, least_scored):
        return int(np.argmin(training_loss)) if current is None else current
    best = int(np.argmax(accuracy))
    if current is None or accuracy[best] > accuracy[current] + margin:
        return best
    return current


def enough_scored(accuracy: npt.NDArray[np.float64], scored: npt.NDArray[np.int64], least_scored: int) -> bool:
    """Whether recent accuracy ``[G]`` says enough about each student to decide by it."""
    return bool(np.isfinite(accuracy).all() and scored.min() >= least_scored)
