"""When the worker learns beside events and readers, and how much at a time."""

from __future__ import annotations

from typing import Literal

from olad_core.step_size import StepSize

Part = Literal["step", "slice", "rows"]
"""What is done beside events and requests: a part of a training step, a slice of embedding a new version, or
predictions that are marked. Nothing interrupts a part. Steps and slices have a size."""

PART_SHARE = 0.05
"""Share of the freshness target that one part may take: an event or a request waits for one part at most."""
LEAST: dict[Part, float] = {"step": 0.05, "slice": 0.01}
"""Size of a step or slice at least, 1 being the configured one."""
REST, REST_FOR_READERS = 1.0, 3.0
"""While events come, the worker waits for them that many times as long as the last part took before the next one:
then most events find it waiting, and half of its time is for learning. While readers request predictions it is a
quarter."""
LEARN_AT_LEAST_EVERY_S, LOADED_SHARE = 1.0, 0.4
"""Under load, too, the worker learns this often, for that share of the freshness target at a time."""
HURRIED_SHARE = 0.2
"""While a version hurries, the worker embeds it for that share of the freshness target after each turn."""


class LearningPace:
    """Follows how long parts take. Times are seconds of one clock that never goes back.

    >>> pace = LearningPace(freshness_target_ms=100, now=0.0)
    >>> pace.saw_events()
    >>> pace.follow("slice", started=0.0, ended=0.03)
    >>> pace.is_due(0.05, loaded=False), pace.is_due(0.07, loaded=False)
    (False, True)

    Args:
        freshness_target_ms: how long an event may wait to be visible.
        now: the present time.
        part_share: of the target that one part may take.
    """

    def __init__(self, freshness_target_ms: int, now: float, part_share: float = PART_SHARE) -> None:
        self._allowed_s = part_share * freshness_target_ms / 1000
        self.loaded_s = LOADED_SHARE * freshness_target_ms / 1000
        """How long the worker learns at a time under load."""
        self.hurried_s = HURRIED_SHARE * freshness_target_ms / 1000
        """How long it embeds a version that hurries, at a time."""
        self._learned_at = self._rest_until = now
        self._rest = 0.0
        self._longest_s = 0.0
        self.sizes: dict[Part, StepSize] = {part: StepSize(least) for part, least in LEAST.items()}
        """Size of the next step, and of the next slice."""

    @property
    def interrupted(self) -> bool:
        """Whether events or requests have come since the last part."""
        return self._rest > 0

    def saw_events(self) -> None:
        """Events have come since the last part."""
        self._rest = max(self._rest, REST)

    def saw_readers(self) -> None:
        """Readers have requested predictions since the last part."""
        self._rest = REST_FOR_READERS

    def rest_left(self, now: float) -> float:
        """Seconds in which events and requests are waited for before the next part; 0 where it may begin."""
        return max(0.0, self._rest_until - now)

    def is_due(self, now: float, *, loaded: bool) -> bool:
        """Whether to learn now; ``loaded`` is whether more events wait than one turn applies."""
        return not (loaded or self.rest_left(now) > 0) or now - self._learned_at > LEARN_AT_LEAST_EVERY_S

    def follow_whole_step(self, started: float, ended: float) -> None:
        """Fit both to a training step that was one part."""
        self._longest_s = ended - started
        self.follow("step", started, ended)

    def follow(self, part: Part, started: float, ended: float, *, last: bool = True) -> None:
        """Fit the rest to a part that is done, and the size of the next step or slice to the longest of its parts.

        The last part of a step, which updates the weights, takes as long whatever the size: it is left out.

        Args:
            part: what was done.
            started: when it began.
            ended: when it ended.
            last: whether it was the last part of a step; a slice is one part.
        """
        took = ended - started
        self._learned_at = ended
        self._rest_until, self._rest = ended + self._rest * took, 0.0
        if part == "step":
            if not last:
                self._longest_s = max(self._longest_s, took)
                return
            took, self._longest_s = self._longest_s, 0.0
        if part in self.sizes:
            fitting = min(1.1, max(0.8, self._allowed_s / max(took, 1e-6)))
            self.sizes[part] = StepSize(min(1.0, max(LEAST[part], self.sizes[part].fraction * fitting)))
