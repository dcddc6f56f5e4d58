"""Choice of the student to serve."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from olad_core.config import GROUP
from olad_core.judging.metric import Metric
from olad_core.serving.combination import Combination
from olad_core.serving.refresh_cost import cost_of, cost_of_all
from olad_core.students import Student

GROUP_AHEAD = 0.01
"""By how much the group is expected to score better than its best student until labels have shown another to be better.

On eight streams it was 0.84 to 1.09 points (``docs/experiments.md``)."""

BROKEN = 0.05
"""Behind by so much, in units of the metric, what is served is left without waiting for labels.

Standings of level students differ by a point or two. One whose weights have just gone wrong differs from its group at
once, which needs no label."""


@dataclass(frozen=True)
class Candidates:
    """The students, one of which is to be served, with what is known of each.

    Attributes:
        names: of the G students.
        students: with their present weights.
        standing: ``[G]``, by how much each is expected to score better than its group; NaN where unknown. With a
            ``combination`` the group is the last, ``[G + 1]``; so it is in ``gain``.
        metric: what they are scored by.
        training_loss: ``[G]``, mean supervised loss of the last steps.
        temperatures: ``[G]``, what to divide the logits by.
        classes: that their heads can name.
        evidence: nodes scored so far, and resets of students: without a change of these nobody takes over.
        gain: ``[G]``, by how much each is better than a version of a former group that is served; None without one.
        ahead: ``[G]``, which labels show to be better than what is served; None where none of them is served.
        combination: of the students' answers, where the group can be served; else None.
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
    ahead: npt.NDArray[np.bool_] | None = None
    combination: Combination | None = None

    @property
    def choices(self) -> tuple[str, ...]:
        """Names of all that can be served."""
        return (*self.names, GROUP) if self.combination else self.names

    @property
    def costs(self) -> npt.NDArray[np.float64]:
        """What each choice is assumed to cost before that is measured: the group what all of its members do."""
        own = [cost_of(student) for student in self.students]
        if self.combination is None:
            return np.array(own)
        return np.array([*own, cost_of_all(self.students, beside=self.combination.beside)])

    def copies(self, choice: int) -> dict[str, Student]:
        """Copies of the students of a choice, by name; a student alone has its temperature."""
        if choice == len(self.names):
            return {name: copy.deepcopy(student) for name, student in zip(self.names, self.students, strict=True)}
        student = copy.deepcopy(self.students[choice])
        student.temperature.fill_(float(self.temperatures[choice]))
        return {self.names[choice]: student}


def expecting_group(candidates: Candidates, current: int | None, *, group_lost: bool) -> Candidates:
    """Candidates of which the group stands :data:`GROUP_AHEAD` above the best student, at least.

    A standing without labels is how often a choice differs from the mean of all, which says nothing against the group:
    it differs where its members are rightly weighed. So its standing counts once labels have shown that a student is
    better.

    Args:
        candidates: to choose from.
        current: the number of what is served; None where it is none of them.
        group_lost: whether the group was left for a student that was shown to be better.
    """
    standing, students = candidates.standing, len(candidates.names)
    if candidates.combination is None or group_lost or not np.isfinite(standing).all():
        return candidates
    if current == students and candidates.ahead is not None and candidates.ahead[:students].any():
        return candidates
    standing = standing.copy()
    standing[-1] = max(standing[-1], standing[:-1].max() + GROUP_AHEAD)
    return replace(candidates, standing=standing)


def choose_successor(
    standing: npt.NDArray[np.float64],
    training_loss: npt.NDArray[np.float64],
    gain: npt.NDArray[np.float64],
    *,
    margin: float,
    news: bool = True,
    asked_for: int | None = None,
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
        asked_for: the choice that is taken instead of the best; None for the best.

    >>> choose_successor(np.array([-0.01, -0.02]), np.zeros(2), np.array([0.03, 0.05]), margin=0.005)
    (0, True)
    >>> choose_successor(np.array([-0.01, -0.02]), np.zeros(2), np.array([-0.02, 0.05]), margin=0.005)
    (1, True)
    >>> choose_successor(np.array([-0.01, -0.02]), np.zeros(2), np.array([-0.02, 0.0]), margin=0.005)
    (0, False)
    """
    better = gain > margin
    if asked_for is not None:
        return asked_for, news and bool(better[asked_for])
    if not news or not better.any():
        return choose_best(standing, training_loss, None, margin=margin), False
    standing = np.where(np.isfinite(standing), standing, -np.inf)
    return int(np.argmax(np.where(better, standing, -np.inf))), True


def may_take_over(
    candidates: Candidates, current: int | None, penalty: npt.NDArray[np.float64], *, group_lost: bool, margin: float
) -> npt.NDArray[np.bool_] | None:
    """For which choices there is a reason to replace what is served; None where the standing alone is one.

    A reason is that labels show it, that the standing differs by more than chance makes it (:data:`BROKEN`), or that
    events are followed at less cost. The group needs none before labels have shown that a student is better: it is
    expected to be (:data:`GROUP_AHEAD`).

    Args:
        candidates: to choose from.
        current: the number of what is served; None where it is none of them.
        penalty: what the cost takes off each choice, in units of the metric.
        group_lost: whether the group was left for a student that was shown to be better.
        margin: by how much the cost must differ.
    """
    if current is None or candidates.ahead is None:
        return None
    ahead = candidates.standing - candidates.standing[current]
    shown: npt.NDArray[np.bool_] = candidates.ahead | (ahead > BROKEN) | (penalty[current] - penalty > margin)
    shown[current] = True
    if candidates.combination is not None and not group_lost:
        shown[-1] = True
    return shown


def choose_best(
    standing: npt.NDArray[np.float64],
    training_loss: npt.NDArray[np.float64],
    current: int | None,
    *,
    margin: float,
    news: bool = True,
    penalty: npt.NDArray[np.float64] | None = None,
    allowed: npt.NDArray[np.bool_] | None = None,
    shown: npt.NDArray[np.bool_] | None = None,
) -> int:
    """The student that stands highest, unless what is served is as good.

    The first choice is a student: it can be served sooner than the group. While nothing is known of some student it is
    the one with the lowest training loss. A challenger takes over only when it is expected to be better by ``margin``,
    and there is more than the expectation for it: see ``shown``. While nothing is known, the group takes over where it
    can be kept fresh.

    Args:
        standing: ``[G]``, by how much each is expected to score better than its group
            (:class:`~olad_core.judging.standings.Standings`); NaN where unknown. ``[G + 1]`` with the group.
        training_loss: ``[G]``, mean supervised loss of the last steps.
        current: the student being served.
        margin: by how much another one must stand higher.
        news: whether anything was scored since the last choice; without, what is served stays.
        penalty: what is taken off each, as of ``standing``; None for nothing.
        allowed: which of them may be served, one student at least; None for all. What is served and may not be any
            more is replaced at once.
        shown: for which of them there is a reason to take over beside the standing (:func:`may_take_over`); None: no
            further one is needed.

    >>> standing, losses = np.array([-0.02, -0.01, -0.03]), np.zeros(3)
    >>> choose_best(standing, losses, 0, margin=0.02)
    0
    >>> choose_best(standing, losses, 2, margin=0.01)
    1
    >>> choose_best(standing, losses, 2, margin=0.01, news=False)
    2
    >>> choose_best(standing, losses, 2, margin=0.005, shown=np.array([True, False, False]))
    0
    """
    known, students = bool(np.isfinite(standing).all()), len(training_loss)
    allowed = np.ones(len(standing), np.bool_) if allowed is None else allowed
    if current is None or not allowed[current]:
        own = np.array(standing[:students] if known else -training_loss, np.float64)
        own[~allowed[:students]] = -np.inf
        return int(np.argmax(own))
    if not known:
        if len(standing) == students:
            return current
        standing, news = -(np.zeros(len(standing)) if penalty is None else penalty), True
        standing[-1] += GROUP_AHEAD
    elif shown is not None:
        allowed = allowed & shown
    best = int(np.argmax(np.where(allowed, standing, -np.inf)))
    if news and standing[best] > standing[current] + margin:
        return best
    return current
