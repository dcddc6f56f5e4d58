"""How many predictions are computed at a time, so that no event waits long for them."""

from __future__ import annotations

from olad_core.engine import Engine
from service.worker.clock import Clock
from service.worker.pace import PART_SHARE

SHARE = 0.2
"""Share of the freshness target in which the predictions of a turn are computed that events touch or readers want."""
FIRST_SPEED = 200_000.0
"""Rows a second that are assumed at first."""
LEAST_WORK = 500
"""Less work than this is too little to measure the speed by, and is always allowed."""
DUE_SHARE = 0.1
"""Share of the freshness target that a slice of the predictions that take long may take."""
DUE_REST = 0.5
"""After such a slice, events and requests go first for so many times as long."""
BESIDE_EVENTS = 4
"""While events come, a part spends this many times less on predictions that nobody asks for: events mark them again."""
HURRIED = 4
"""While a version hurries that is to replace a group for which there is no time, a turn computes so many times less."""
LEARNED = 0.2
"""Share of the last measurement in the speed."""


class RowPace:
    """Bounds the work of the engine by the speed that was measured.

    Args:
        freshness_target_ms: how long an event may wait to be visible.
        clock: measures the work.
    """

    def __init__(self, freshness_target_ms: int, clock: Clock) -> None:
        self._target_s = freshness_target_ms / 1000
        self._clock = clock
        self._speed = FIRST_SPEED
        self._due_from = clock.monotonic()

    @property
    def most_work(self) -> int:
        """Rows that may be computed in a turn."""
        return self._work_in(SHARE)

    def _work_in(self, share: float) -> int:
        """Rows that are computed in a share of the freshness target."""
        return max(LEAST_WORK, int(share * self._target_s * self._speed))

    def refresh(self, engine: Engine) -> None:
        """Let the engine follow the applied events."""
        started = self._clock.monotonic()
        self.follow(engine.refresh(self.most_work // (HURRIED if engine.hurries else 1)), started)

    def tidy(self, engine: Engine, *, beside_events: bool) -> int:
        """Let the engine compute some marked predictions, fewer where events keep coming; the work that it was.

        Call :meth:`follow` once they are published: with many classes most of the work is done then.
        """
        most = self._work_in(PART_SHARE)
        return engine.tidy(most // BESIDE_EVENTS if beside_events else most, hubs=not beside_events)

    def due_rest_left(self) -> float:
        """Seconds until the next slice of predictions that take long may begin; 0 where it may now."""
        return max(0.0, self._due_from - self._clock.monotonic())

    def compute_due(self, engine: Engine) -> None:
        """Let the engine compute a slice of the predictions that are wanted and take long."""
        started = self._clock.monotonic()
        self.follow(engine.compute_due(self._work_in(DUE_SHARE)), started)
        ended = self._clock.monotonic()
        self._due_from = ended + DUE_REST * (ended - started)

    def follow(self, work: int, started: float) -> None:
        """Learn the speed from work that has begun then and is done."""
        took = self._clock.monotonic() - started
        if work >= LEAST_WORK and took > 0:
            self._speed += LEARNED * (work / took - self._speed)
