"""The time that the loop works by."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A clock that is passed in, so that a test can set the time by hand. All times are seconds."""

    def monotonic(self) -> float:
        """Time for durations: it never goes back."""

    def wall(self) -> float:
        """Seconds since 1970, for what people read."""

    def cpu(self) -> float:
        """Seconds that processors have worked for this process, all threads together."""

    def sleep(self, seconds: float) -> None:
        """Return that many seconds later."""


class SystemClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """Time for durations."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def cpu(self) -> float:
        """Seconds of processors."""
        return time.process_time()

    def sleep(self, seconds: float) -> None:
        """Return that many seconds later."""
        time.sleep(seconds)
