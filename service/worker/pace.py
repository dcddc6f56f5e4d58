"""When the worker learns beside the events, and how much at a time."""

from __future__ import annotations

from typing import Literal

from olad_core.step_size import StepSize

Part = Literal["step", "slice", "rows"]
"""What is done beside the events: training steps, slices of embedding a new version, and predictions that are marked.
The first two have a size of their own."""

STEP_SHARE = 0.2
"""Share of the freshness target that one training step, or one slice, may take."""
LEAST_STEP = 0.05
"""Size of a step or slice at least, 1 being the configured one."""
REST = 1.0
"""While events come, the worker waits for them that many times as long as the last part took before the next one:
then most events find it waiting, and half of its time is for learning."""
LEARN_AT_LEAST_EVERY_S = 1.0
"""Under load, too, the worker learns this often."""


class LearningPace:
    """Follows how long steps and slices take. Times are seconds of one clock that never goes back.

    >>> pace = LearningPace(freshness_target_ms=100, now=0.0)
    >>> pace.saw_events()
    >>> pace.follow("step", started=0.0, ended=0.03)
    >>> pace.is_due(0.05, loaded=False), pace.is_due(0.07, loaded=False)
    (False, True)

    Args:
        freshness_target_ms: how long an event may wait to be visible.
        now: the present time.
    """

    def __init__(self, freshness_target_ms: int, now: float) -> None:
        self._allowed_s = STEP_SHARE * freshness_target_ms / 1000
        self._learned_at = self._rest_until = now
        self.events_since = False
        """Whether events have come since the last part."""
        self.sizes: dict[Part, StepSize] = {"step": StepSize(LEAST_STEP), "slice": StepSize(LEAST_STEP)}
        """Size of the next one of each."""

    def saw_events(self) -> None:
        """Events have come since the last part."""
        self.events_since = True

    def rest_left(self, now: float) -> float:
        """Seconds in which events are waited for before the next part; 0 where it may begin."""
        return max(0.0, self._rest_until - now)

    def is_due(self, now: float, *, loaded: bool) -> bool:
        """Whether to learn now; ``loaded`` is whether more events wait than one turn applies."""
        return not (loaded or self.rest_left(now) > 0) or now - self._learned_at > LEARN_AT_LEAST_EVERY_S

    def follow(self, part: Part, started: float, ended: float) -> None:
        """Fit the rest, and the size of the next such part where it has one, to one that is done."""
        took = ended - started
        self._learned_at = ended
        self._rest_until = ended + REST * took if self.events_since else ended
        self.events_since = False
        if part not in self.sizes:
            return
        fitting = min(1.1, max(0.8, self._allowed_s / max(took, 1e-6)))
        self.sizes[part] = StepSize(min(1.0, max(LEAST_STEP, self.sizes[part].fraction * fitting)))
