"""Measures what following events takes, turn by turn, for the choice of what is served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from olad_core.serving.load import TurnTime
from service.worker.clock import Clock

Use = Literal["shared", "own", "slices"]
"""What time is needed for: to change the graph; to keep what is served fresh and published; to embed a version."""


class TurnTimes:
    """Adds up what was measured since the last turn.

    Args:
        clock: measures.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._events = 0
        self._seconds: dict[Use, float] = {}
        self._measuring = False

    @contextmanager
    def of(self, use: Use) -> Iterator[None]:
        """Measure what is done meanwhile; within another measurement it is part of that one."""
        if self._measuring:
            yield
            return
        started, self._measuring = self._clock.monotonic(), True
        try:
            yield
        finally:
            self._measuring = False
            self._seconds[use] = self._seconds.get(use, 0.0) + self._clock.monotonic() - started

    def applied(self, events: int) -> None:
        """So many events were applied."""
        self._events += events

    def take(self) -> TurnTime:
        """The turn that ends now; another one begins."""
        began, self._began = self._began, self._clock.monotonic()
        events, self._events = self._events, 0
        seconds, self._seconds = self._seconds, {}
        return TurnTime(
            events,
            self._began - began,
            seconds.get("shared", 0.0),
            seconds.get("own", 0.0),
            seconds.get("slices", 0.0),
        )
