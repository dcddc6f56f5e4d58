"""How many events a turn takes, so that readers see its end, and others see a heartbeat, about once a second."""

from __future__ import annotations

from service.worker.lane import MAX_EVENTS_PER_TURN

TURN_S = 1.0
"""A turn with events should take so long at most. One entry is never divided."""
_FIRST = 100
_GROWTH = 4


class TurnSize:
    """Follows how long turns take.

    Attributes:
        most: events that the next turn may take.
    """

    def __init__(self) -> None:
        self.most = _FIRST

    def follow(self, events: int, seconds: float) -> None:
        """Learn from a turn.

        Args:
            events: that it took.
            seconds: how long that lasted, at all ranks.
        """
        if not events:
            return
        fitting = events * TURN_S / max(seconds, 1e-9)
        # A short turn with few events says little about one with many.
        if seconds > TURN_S or events >= self.most:
            self.most = round(min(max(fitting, 1.0), _GROWTH * self.most, MAX_EVENTS_PER_TURN))
