"""The graph's clock: where its latest time comes from, and which times it believes.

Until an event carries a ``ts``, a graph's time is that of the arrival of its log entries. From the first ``ts`` on it
is event time, and an event without ``ts`` happens at the latest time without moving it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

LIFETIMES_AHEAD = 1e6
"""A ``ts`` is believed so many edge lifetimes ahead of the latest time, where no bound is declared."""
FURTHEST_FIRST = 2.0**63
"""Greatest ``ts`` that is believed where there is none to compare it with: no integer time is beyond it."""
_QUIET_S = 30 * 86_400.0
"""A state that does not say what its clock was is one of arrivals if it is no further behind its position than this."""


@dataclass(frozen=True)
class Clock:
    """The latest time of a graph.

    Attributes:
        latest: greatest time of any event applied; minus infinity before the first.
        from_ts: whether it is event time; otherwise it is the time of arrival.
        arrival: seconds at which the last log entry arrived; minus infinity before the first.
        shift: seconds that the clock of arrivals is ahead of ``arrival``: what that has gone back since it began.
    """

    latest: float = -math.inf
    from_ts: bool = False
    arrival: float = -math.inf
    shift: float = 0.0

    @property
    def arrived(self) -> float:
        """The time of arrival of the last entry; never goes back."""
        return self.arrival + self.shift

    def at(self, arrival: float) -> Clock:
        """The clock when the next entry arrives.

        >>> Clock().at(50.0).at(20.0).at(25.0).arrived
        55.0
        """
        return replace(self, arrival=arrival, shift=self.shift + max(0.0, self.arrival - arrival))

    def set_to(self, time: float | None) -> Clock:
        """The clock set by hand; None makes it the time of arrival again, until the next ``ts``."""
        if time is None:
            return replace(self, latest=self.arrived, from_ts=False)
        return replace(self, latest=time, shift=self.shift if self.from_ts else time - self.arrival)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """As arrays."""
        return {
            "clock": np.array(self.latest),
            "clock_from_ts": np.array(self.from_ts),
            "clock_arrival": np.array(self.arrival),
            "clock_shift": np.array(self.shift),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[np.generic]], arrival: float) -> Clock:
        """The inverse of :meth:`state`.

        A state of an earlier release has the latest time alone. It counts as a time of arrival where it could be one,
        ``arrival`` being that of the last entry: then a first ``ts`` to come sets the clock anew.
        """
        latest = float(state["clock"])
        if "clock_from_ts" not in state:
            return cls(latest, math.isfinite(latest) and not 0 <= arrival - latest <= _QUIET_S, arrival)
        return cls(latest, bool(state["clock_from_ts"]), float(state["clock_arrival"]), float(state["clock_shift"]))


@dataclass(frozen=True)
class Belief:
    """Which times are believed.

    Attributes:
        lifetime: edges leave that long after their time; None where they stay.
        ahead_max: how far a ``ts`` may lie ahead of the latest one, where that is declared.
    """

    lifetime: float | None = None
    ahead_max: float | None = None

    def furthest(self, latest: float | None) -> float:
        """The greatest ``ts`` that is believed.

        Undeclared, the bound is to keep out what cannot be meant, and nothing else: a unit of time is not known, a
        quiet time may be long, and a latest time of 0 or less may stand for no time at all. Without a lifetime no
        time does harm.

        Args:
            latest: the latest event time; None before the first.

        >>> Belief(lifetime=10.0).furthest(100.0), Belief(ahead_max=60.0).furthest(100.0), Belief().furthest(100.0)
        (10000100.0, 160.0, inf)
        """
        if self.ahead_max is not None:
            return latest + self.ahead_max if latest is not None else max(FURTHEST_FIRST, self.ahead_max)
        if self.lifetime is None:
            return math.inf
        ahead = LIFETIMES_AHEAD * self.lifetime
        if latest is None or latest <= 0:
            return max(FURTHEST_FIRST, ahead)
        return latest + max(ahead, latest)
