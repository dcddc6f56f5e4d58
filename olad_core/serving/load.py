"""How long events take to follow, measured, and what of that each choice to serve could keep up with.

The core has no clock: its caller measures the turns. Without measurements everything keeps up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BUSY = 0.5
"""Share of the time that following events may take: the other half is for learning and for waiting."""
TURN = 0.2
"""Share of the freshness target that a turn may take: an event waits for the turn before its own, too."""
ENTER = 0.5
"""A choice that is not served must need this part of what one may need that is served."""
FOLLOWED_S = 0.5
"""Seconds after which the time of a turn has been forgotten to 1/e."""
LARGEST_SHARE = 0.25
"""Share of one turn in the mean, at most: a single slow one decides nothing."""
TURNS = 10.0
"""Turns after which the length of one has been forgotten to 1/e."""
IDLE_S = 2.0
"""Seconds without events after which it has been forgotten, too."""
REMEMBERED_S = 5.0
"""Seconds of turns with events after which the cost of an event has been forgotten to 1/e."""
COMPARED_TURNS = 20
"""Turns after a switch in which the cost of what is served is compared with that of what was served before."""
FORGOTTEN_S = 600.0
"""Seconds after which a measured cost has come back to the assumed one to 1/e: traffic and graph change meanwhile, and
what seemed too expensive must get another attempt."""
COST_RANGE = 8.0
"""A measured cost is at most so many times the expected one, and at least one such part of it."""
MOST_LEFT = 4.0
"""A turn that left predictions to later ones counts as so many times as long, at most."""
QUIET_S = 10.0
"""Seconds in which a choice must have kept up before it is taken, at least."""
QUIET_PER_SWITCH = 4.0
"""And so many times as long as embedding it takes: that costs a fifth of the time at most."""
ACCURACY_PER_DOUBLING = 0.01
"""While every event waits, twice the cost weighs as much as so much expected accuracy."""


@dataclass(frozen=True)
class TurnTime:
    """What was measured since the last turn.

    Attributes:
        events: that were applied.
        elapsed_s: seconds since the turn before, waiting included.
        shared_s: seconds of them that were needed whatever is served, to change the graph.
        own_s: seconds that what is served needed: predictions that events touch or readers request, and publishing.
        slices_s: seconds in which a version was embedded.
    """

    events: int
    elapsed_s: float
    shared_s: float = 0.0
    own_s: float = 0.0
    slices_s: float = 0.0


@dataclass
class _Mean:
    """Seconds that turns take: those that are shared, and those of what is served."""

    shared: float = 0.0
    own: float = 0.0

    def follow(self, share: float, shared: float, own: float) -> None:
        self.shared += share * (shared - self.shared)
        self.own += share * (own - self.own)

    def of(self, ratio: Floats) -> Floats:
        """Of choices that cost so many times what is served costs ``[K]``."""
        total: Floats = self.shared + self.own * ratio
        return total


@dataclass
class _Embedding:
    """Seconds of embedding a version of a choice, and whether that is done."""

    name: str
    seconds: float = 0.0
    complete: bool = False


class Load:
    """Follows how much of the time events take, and expects the same of what is not served.

    A load of 1 is what keeps to the freshness target: following events takes half of the time, or a turn a fifth of the
    target. What is not served is expected to cost its relative cost times what is served costs. A relative cost is
    assumed at first. After each switch it is measured: the next turns are compared with those just before.

    >>> load = Load(freshness_target_s=0.1)
    >>> for _ in range(600):
    ...     load.follow(TurnTime(events=20, elapsed_s=0.01, own_s=0.002), "gcn", {"gcn": 2.0, "group": 8.0})
    >>> load.expected(["gcn", "group"]).round(2)
    array([0.4, 1.6])
    >>> load.allowed(["gcn", "group"], served="gcn").tolist()
    [True, False]

    Args:
        freshness_target_s: how long an event may wait to be visible.
    """

    def __init__(self, freshness_target_s: float) -> None:
        self._target_s = freshness_target_s
        self.measured = False
        """Whether any turn was measured."""
        # By choice: seconds since it was last expected to need more than what would be taken.
        self._quiet_s: dict[str, float] = {}
        self._relative: dict[str, float] = {}
        self._assumed: dict[str, float] = {}
        self._served: str | None = None
        self._busy, self._turn = _Mean(), _Mean()
        # Faded sums of events, and of the seconds of both kinds that they took.
        self._events, self._seconds = 0.0, _Mean()
        # Seconds of an event at a relative cost of 1, before the last switch; None where there were no events.
        self._unit: float | None = None
        self._compared = 0
        self._completeness = 1.0
        self._embedding = _Embedding("")
        self._embedding_s: dict[str, float] = {}

    def note_left(self, wanted: int, left: int) -> None:
        """This turn wanted so many predictions, and left so many of them to later ones."""
        if wanted:
            self._completeness = min(self._completeness, max(1 / MOST_LEFT, 1 - left / wanted))

    def follow(self, turn: TurnTime, served: str | None, costs: Mapping[str, float]) -> None:
        """Take in one turn.

        Args:
            turn: what was measured.
            served: name of what is served; None before the first version.
            costs: relative cost of each choice, as it is assumed before it is measured.
        """
        self.measured = True
        self._assumed = dict(costs)
        self._embedding.seconds += turn.slices_s
        if served != self._served:
            self._switch(served)
        own, self._completeness = turn.own_s / self._completeness, 1.0
        if turn.elapsed_s > 0:
            share = min(LARGEST_SHARE, 1 - math.exp(-turn.elapsed_s / FOLLOWED_S))
            self._busy.follow(share, turn.shared_s / turn.elapsed_s, own / turn.elapsed_s)
            self._forget_costs(turn.elapsed_s)
            if not turn.events:
                self._turn.follow(1 - math.exp(-turn.elapsed_s / IDLE_S), 0.0, 0.0)
        if turn.events:
            kept = math.exp(-turn.elapsed_s / REMEMBERED_S)
            self._events = kept * self._events + turn.events
            self._seconds = _Mean(kept * self._seconds.shared + turn.shared_s, kept * self._seconds.own + own)
            self._turn.follow(1 / TURNS, turn.shared_s, own)
            self._compare()
        names = list(costs)
        for name, load in zip(names, self.expected(names), strict=True):
            self._quiet_s[name] = self._quiet_s.get(name, 0.0) + turn.elapsed_s if load <= ENTER else 0.0

    def begin_embedding(self, name: str) -> None:
        """A version of that choice begins to be embedded."""
        self._note_embedding()
        self._embedding = _Embedding(name)

    def end_embedding(self) -> None:
        """The version is embedded; :meth:`follow` is still to be given the seconds of its last slice."""
        self._embedding.complete = True

    def relative_cost(self, name: str) -> float:
        """Cost of a choice as a multiple of GraphSAGE's, as measured where it was served, else as assumed."""
        return self._relative.get(name, self._assumed.get(name, 1.0))

    def expected(self, names: Sequence[str]) -> Floats:
        """The load of each choice ``[K]``, were it served; what is above 1 does not keep to the freshness target."""
        served = self._served
        own = np.array([self.relative_cost(name) for name in names])
        ratio = own / (self.relative_cost(served) if served is not None else float(own.min(initial=np.inf)))
        load: Floats = np.maximum(self._busy.of(ratio) / BUSY, self._turn.of(ratio) / (TURN * self._target_s))
        return load

    def quiet_needed_s(self, name: str) -> float:
        """Seconds in which a choice must have kept up before it is taken: the longer, the more a switch costs."""
        return max(QUIET_S, QUIET_PER_SWITCH * self._embedding_of(name))

    def allowed(self, names: Sequence[str], served: str | None) -> Bools:
        """Which choices keep to the freshness target ``[K]``.

        What costs more than what is served must have needed little for some time.
        """
        if not self.measured:
            return np.ones(len(names), np.bool_)
        most = math.inf if served is None else self.relative_cost(served)
        at_once = np.array([name == served or self.relative_cost(name) <= most for name in names], np.bool_)
        return (self.expected(names) <= 1) & (at_once | self.was_quiet(names))

    def was_quiet(self, names: Sequence[str]) -> Bools:
        """Which choices would have needed little for as long as :meth:`quiet_needed_s` ``[K]``."""
        return np.array([self._quiet_s.get(name, 0.0) >= self.quiet_needed_s(name) for name in names], np.bool_)

    def exceeds(self, name: str) -> bool:
        """Whether a choice does not keep to the freshness target."""
        return self.measured and bool(self.expected([name])[0] > 1)

    def penalty(self, names: Sequence[str]) -> Floats:
        """What is subtracted from what is expected of each choice ``[K]``; zero for all that keep up."""
        costs = np.array([self.relative_cost(name) for name in names])
        late = np.maximum(0.0, 1 - 1 / np.maximum(self.expected(names), 1.0))
        taken_off: Floats = ACCURACY_PER_DOUBLING * late * np.log2(costs / costs.min())
        return taken_off

    def event_s(self, name: str) -> float | None:
        """Seconds that an event takes where that choice is served; None before events were measured."""
        if self._events <= 0 or self._served is None:
            return None
        ratio = self.relative_cost(name) / self.relative_cost(self._served)
        return float((self._seconds.shared + self._seconds.own * ratio) / self._events)

    def was_measured(self, name: str) -> bool:
        """Whether the cost of a choice is measured, and not assumed."""
        return name in self._relative or (name == self._served and self._events > 0)

    def _embedding_of(self, name: str) -> float:
        """Seconds of embedding a choice; what was never embedded is expected to take its relative cost."""
        self._note_embedding()
        if name in self._embedding_s:
            return self._embedding_s[name]
        known = [seconds / self.relative_cost(other) for other, seconds in self._embedding_s.items()]
        return max(known, default=0.0) * self.relative_cost(name)

    def _note_embedding(self) -> None:
        if self._embedding.complete:
            self._embedding_s[self._embedding.name] = self._embedding.seconds

    def _switch(self, served: str | None) -> None:
        """Another choice is served from now on: its cost is to be compared with that of the last one."""
        before, self._served = self._served, served
        known = before is not None and self._events > 0 and self._seconds.own > 0
        self._unit = self._seconds.own / self._events / self.relative_cost(before) if known and before else None
        self._compared = 0
        self._events, self._seconds = 0.0, _Mean()
        if served is not None and before is not None:
            self._busy.own *= self.relative_cost(served) / self.relative_cost(before)
            self._turn.own *= self.relative_cost(served) / self.relative_cost(before)

    def _forget_costs(self, elapsed_s: float) -> None:
        """Let the measured costs come back to the assumed ones; their ratio to what is served does, too."""
        kept = math.exp(-elapsed_s / FORGOTTEN_S)
        for name, found in self._relative.items():
            assumed = self._assumed.get(name, found)
            self._relative[name] = assumed * (found / assumed) ** kept

    def _compare(self) -> None:
        """Measure the relative cost of what is served, in the turns after a switch."""
        if self._unit is None or self._served is None or self._compared >= COMPARED_TURNS:
            return
        self._compared += 1
        assumed = self._assumed.get(self._served, 1.0)
        found = self._seconds.own / self._events / self._unit
        self._relative[self._served] = min(max(found, assumed / COST_RANGE), assumed * COST_RANGE)
