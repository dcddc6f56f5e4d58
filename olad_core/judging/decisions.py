"""What the engine decided by itself, when and why: the last decisions, for people to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.config import GROUP
from olad_core.judging.decision_kinds import Kind
from olad_core.judging.metric import ACCURACY, Metric

KEPT = 100
"""Decisions that are kept."""


@dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes:
        number: running number, from 1.
        position: of the log at that moment.
        applied_events: number of events up to there.
        kind: ``first-version``, ``student-kept``, ``student-switched``: a version was started, and why with this
            student; ``version-refused``: it will not be served; ``drift``: the errors of what is served rose;
            ``student-reset``, ``group-restarted``: new weights for one member or all, or other members;
            ``classes-grown``; ``version-pinned``, ``version-unpinned``, ``version-rolled-back``,
            ``variant-promoted``: an operator's.
        student: that it is about; None for the group.
        version: number of the version it is about; None where there is none.
        reason: one sentence.
        numbers: what it was decided by.
    """

    number: int
    position: str
    applied_events: int
    kind: Kind
    student: str | None
    version: int | None
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)


class Decisions:
    """The last :data:`KEPT` decisions.

    Beyond that the oldest of the most frequent kind goes: routine ones, a version every few seconds, must not push
    out the rare ones.
    """

    def __init__(self) -> None:
        self.total = 0
        """Decisions ever made."""
        self._kept: list[Decision] = []
        self._position = "0-0"
        self._applied_events = 0
        self._news: list[Decision] = []

    def follow(self, position: str, applied_events: int) -> None:
        """Set the place in the log of the decisions that follow; it is no part of the state."""
        self._position, self._applied_events = position, applied_events

    def add(
        self,
        kind: Kind,
        reason: str,
        *,
        student: str | None = None,
        version: int | None = None,
        numbers: Mapping[str, float] | None = None,
    ) -> None:
        """Keep one decision; see :class:`Decision`."""
        self.total += 1
        at = self._position, self._applied_events
        decision = Decision(self.total, *at, kind, student, version, reason, dict(numbers or {}))
        self._kept.append(decision)
        if kind != "student-kept":
            self._news = [*self._news[1 - KEPT :], decision]
        if len(self._kept) > KEPT:
            ((most, _),) = Counter(decision.kind for decision in self._kept).most_common(1)
            del self._kept[next(place for place, kept in enumerate(self._kept) if kept.kind == most)]

    def newest_first(self) -> tuple[Decision, ...]:
        """All that are kept."""
        return tuple(reversed(self._kept))

    def since(self, number: int) -> tuple[Decision, ...]:
        """Those after a running number that are still kept, oldest first."""
        return tuple(decision for decision in self._kept if decision.number > number)

    @property
    def has_news(self) -> bool:
        """Whether :meth:`take_news` has something to hand out."""
        return bool(self._news)

    def take_news(self) -> tuple[Decision, ...]:
        """Decisions since the last call, oldest first, without those to keep a student, which every version repeats.

        After a restoration these are the ones made since.
        """
        news, self._news = tuple(self._news), []
        return news

    def drop_news(self, after: int) -> None:
        """Do not hand out those after a running number: they repeat what was decided before."""
        self._news = [decision for decision in self._news if decision.number <= after]

    def state(self) -> dict[str, object]:
        """Plain values for a checkpoint."""
        return {"total": self.total, "kept": [asdict(decision) for decision in self._kept]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the values of :meth:`state`."""
        self.total = int(state["total"])
        self._kept = [Decision(**decision) for decision in state["kept"]]
        self._news = []


def explain_succession(
    names: Sequence[str],
    gain: npt.NDArray[np.float64],
    former: str,
    best: int,
    *,
    taken: bool,
    margin: float,
    metric: Metric = ACCURACY,
) -> tuple[Kind, str, dict[str, float]]:
    """Kind, reason and numbers of what :func:`~olad_core.serving.choice.choose_successor` chose.

    Args:
        names: of the G students.
        gain: ``[G]``, by how much each is better than what is served; NaN where too little is known.
        former: the student of the former group that is served.
        best: the best student of the group.
        taken: whether it takes over.
        margin: by how much it must be better.
        metric: what they are scored by.

    >>> explain_succession(["gcn"], np.array([0.031]), "gat", 0, taken=True, margin=0.005)[:2]
    ('student-switched', 'switched from gat of the former group to gcn: accuracy 3.1 points higher')
    """
    known = {f"gain_{name}": float(value) for name, value in zip(names, gain, strict=True) if np.isfinite(value)}
    numbers = known | {"margin": margin}
    more = "lower" if metric.lower_is_better else "higher"
    name, points = names[best], f"{metric.words} {100 * gain[best]:.1f} points {more}"
    if taken:
        return "student-switched", f"switched from {former} of the former group to {name}: {points}", numbers
    return "student-kept", f"kept {former} of the former group: labels do not show that {name} is better", numbers


def explain_choice(
    names: Sequence[str],
    standing: npt.NDArray[np.float64],
    current: int | None,
    chosen: int,
    *,
    margin: float,
    news: bool = True,
    penalty: npt.NDArray[np.float64] | None = None,
    metric: Metric = ACCURACY,
    asked_for: bool = False,
    before: str | None = None,
    loads: npt.NDArray[np.float64] | None = None,
    allowed: npt.NDArray[np.bool_] | None = None,
    shown: npt.NDArray[np.bool_] | None = None,
) -> tuple[Kind, str, dict[str, float]]:
    """Kind, reason and numbers of what :func:`~olad_core.serving.choice.choose_best` chose, or what is asked for.

    Args:
        names: of the G students.
        standing: ``[G]``, expected score less the group's and less the penalty; NaN where unknown.
        current: the student being served; None where there is none of them.
        chosen: the student of the next version.
        margin: by how much another one must stand higher.
        news: whether anything was scored since the last choice.
        asked_for: whether the settings ask for it.
        before: name of what is served, which may be none of them; None before the first version.
        penalty: ``[G]``, what events that wait for predictions take off each student; None or zeros where none wait.
        metric: what they are scored by.
        loads: ``[G]``, measured load of each, 1 being what keeps to the freshness target; None where not measured.
        allowed: ``[G]``, which of them keep to the freshness target; None where all may be served.
        shown: ``[G]``, for which there is a reason beside the standing; None where none is needed.

    >>> explain_choice(["gcn", "sage"], np.array([-0.024, 0.001]), 0, 1, margin=0.005)[:2]
    ('student-switched', 'switched from gcn to sage: expected accuracy 2.5 points higher')
    """
    numbers = {f"standing_{name}": float(s) for name, s in zip(names, standing, strict=True) if np.isfinite(s)}
    numbers["margin"] = margin
    measure = f"expected {metric.words}"
    more, most = ("lower", "lowest") if metric.lower_is_better else ("higher", "highest")
    if penalty is not None and penalty.any():
        numbers |= {f"cost_{name}": float(cost) for name, cost in zip(names, penalty, strict=True)}
        measure += ", less the cost of keeping up with the events,"
    if loads is not None:
        numbers |= {f"load_{name}": float(load) for name, load in zip(names, loads, strict=True)}
    name = names[chosen]
    known = bool(np.isfinite(standing).all())
    allowed = np.ones(len(names), np.bool_) if allowed is None else allowed
    if current is None or asked_for:
        why = "the settings ask for it" if asked_for else f"{most} {measure}" if known else "lowest training loss"
        return *_uncompared(before, name, why), numbers
    if chosen != current:
        if not allowed[current]:
            why = "events come too fast for what was served"
        elif known:
            why = f"{measure} {100 * (standing[chosen] - standing[current]):.1f} points {more}"
        else:
            cause = "more is expected of it" if name == GROUP else "events wait for predictions"
            why = f"{cause}, and nothing was scored yet"
        return "student-switched", f"switched from {names[current]} to {name}: {why}", numbers
    why = _why_kept(
        names, standing, chosen, measure, (more, most), margin=margin, news=news, allowed=allowed, shown=shown
    )
    return "student-kept", f"kept {name}: {why}", numbers


def _why_kept(
    names: Sequence[str],
    standing: npt.NDArray[np.float64],
    chosen: int,
    measure: str,
    more: tuple[str, str],
    *,
    margin: float,
    news: bool,
    allowed: npt.NDArray[np.bool_],
    shown: npt.NDArray[np.bool_] | None,
) -> str:
    """Why what is served stays; arguments as of :func:`explain_choice`, with what is measured, in words."""
    best = int(np.argmax(standing))
    ahead = f"{100 * (standing[best] - standing[chosen]):.1f} points {more[0]}"
    if not np.isfinite(standing).all():
        return f"some student has no {measure} yet"
    if standing[best] <= standing[chosen]:
        return f"{more[1]} {measure}"
    if not allowed[best]:
        return f"{names[best]} is {ahead}, but does not keep to the freshness target, or did not for long enough"
    if not news:
        return "no node was scored since the last decision"
    if shown is not None and not shown[best]:
        return f"{names[best]} is {ahead}, and labels do not show that it is better"
    return f"{names[best]} is only {ahead}, and the margin is {100 * margin:.1f} points"


def _uncompared(before: str | None, name: str, why: str) -> tuple[Kind, str]:
    """Kind and reason of a choice that was not compared with what is served."""
    if before is None:
        return "first-version", f"started with {name}: {why}"
    if before != name:
        return "student-switched", f"switched from {before} to {name}: {why}"
    return "student-kept", f"kept {name}: {why}"
