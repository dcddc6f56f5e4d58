"""The graph's clock: where its latest time comes from.

Until an event carries a ``ts``, a graph's time is that of the arrival of its log entries. From the first ``ts`` on it
is event time, and an event without ``ts`` happens at the latest time without moving it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

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

    @property
    def now(self) -> float:
        """The time of an event without a ``ts`` that arrives with the last entry."""
        return self.latest if self.from_ts else max(self.latest, self.arrived)

    def at(self, arrival: float) -> Clock:
        """The clock when the next entry arrives.

        >>> Clock().at(50.0).at(20.0).at(25.0).arrived
        55.0
        """
        return Clock(self.latest, self.from_ts, arrival, self.shift + max(0.0, self.arrival - arrival))

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
