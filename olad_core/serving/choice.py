"""Choice of the student to serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.judging.metric import Metric
from olad_core.students import Student


@dataclass(frozen=True)
class Candidates:
    """The students, one of which is to be served, with what is known of each.

    Attributes:
        names: of the G students.
        students: with their present weights.
        standing: ``[G]``, by how much each is expected to score better than its group; NaN where unknown.
        metric: what they are scored by.
        training_loss: ``[G]``, mean supervised loss of the last steps.
        temperatures: ``[G]``, what to divide the logits by.
        classes: that their heads can name.
        evidence: nodes scored so far, and resets of students: without a change of these nobody takes over.
        gain: ``[G]``, by how much each is better than a version of a former group that is served; None without one.
    """

    names: tuple[str, ...]
    students: Sequence[Student]
    standing: npt.NDArray[np.float64]
    metric: Metric
    training_loss: npt.NDArray[np.float64]
    temperatures: npt.NDArray[np.float64]
    classes: Sequence[str]
    evidence: tuple[int, int]
    gain: npt.NDArray[np.float64] | None = None


def choose_successor(
    standing: npt.NDArray[np.float64],
    training_loss: npt.NDArray[np.float64],
    gain: npt.NDArray[np.float64],
    *,
    margin: float,
    news: bool = True,
) -> tuple[int, bool]:
    """The best student of a new group that is better than a version of the former group, and whether there is any.

    Where there is none, it is the best of all.

    Args:
        standing: ``[G]``, as for :func:`choose_best`.
        training_loss: ``[G]``, as there.
        gain: ``[G]``, by how much each is better than what is served
            (:class:`~olad_core.judging.succession.Succession`).
        margin: by how much it must be better.
        news: whether anything was scored since the last choice; without, what is served stays.

    >>> choose_successor(np.array([-0.01, -0.02]), np.zeros(2), np.array([0.03, 0.05]), margin=0.005)
    (0, True)
    >>> choose_successor(np.array([-0.01, -0.02]), np.zeros(2), np.array([-0.02, 0.05]), margin=0.005)
    (1, True)
    >>> choose_successor(np.array([-0.01, -0.02]), np.zeros(2), np.array([-0.02, 0.0]), margin=0.005)
    (0, False)
    """
    better = gain > margin
    if not news or not better.any():
        return choose_best(standing, training_loss, None, margin=margin), False
    standing = np.where(np.isfinite(standing), standing, -np.inf)
    return int(np.argmax(np.where(better, standing, -np.inf))), True


def choose_best(
    standing: npt.NDArray[np.float64],
    training_loss: npt.NDArray[np.float64],
    current: int | None,
    *,
    margin: float,
    news: bool = True,
) -> int:
    """The student that stands highest, with hysteresis.

    A challenger takes over only when it is better by ``margin``, so that two equals do not alternate. While
    nothing is known of some student, the lowest training loss decides on the first one.

    Args:
        standing: ``[G]``, by how much each is expected to score better than its group
            (:class:`~olad_core.judging.standings.Standings`); NaN where unknown.
        training_loss: ``[G]``, mean supervised loss of the last steps.
        current: the student being served.
        margin: by how much another one must stand higher.
        news: whether anything was scored since the last choice; without, what is served stays.

    >>> standing, losses = np.array([-0.02, -0.01, -0.03]), np.zeros(3)
    >>> choose_best(standing, losses, 0, margin=0.02)
    0
    >>> choose_best(standing, losses, 2, margin=0.01)
    1
    >>> choose_best(standing, losses, 2, margin=0.01, news=False)
    2
    """
    if not np.isfinite(standing).all():
        return int(np.argmin(training_loss)) if current is None else current
    best = int(np.argmax(standing))
    if current is None or (news and standing[best] > standing[current] + margin):
        return best
    return current
