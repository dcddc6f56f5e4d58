"""When the ranks learn beside events, and how much at a time: the first rank decides by its own clock."""

from __future__ import annotations

from typing import Literal

from olad_core.partition import PartitionedLearner
from olad_core.step_size import FULL_SIZE, StepSize
from service.worker.pace import LearningPace

Part = Literal["", "step", "slice", "table"]
"""What is learned in a turn: nothing, a training step, a slice of the version on its way, or rows of its table."""

PART_SHARE = 0.25
"""Share of the freshness target that one part may take. Exchanges make the least step longer than one of a worker
without partitions, which takes a fifth of that at a time."""

_FIRST_STEP = 0.25
"""Size of the first step."""


class RankPace:
    """Chooses the part of learning of each turn.

    Args:
        freshness_target_ms: how long an event may wait to be visible.
        now: the present time in seconds, of a clock that never goes back.
        steps_per_entry: training steps that follow each entry; with any, nothing else is learned.
    """

    def __init__(self, freshness_target_ms: int, now: float, steps_per_entry: int | None) -> None:
        self._pace = LearningPace(freshness_target_ms, now, part_share=PART_SHARE)
        # Small ones are mostly exchanges. Large ones become smaller where they take too long.
        self._pace.sizes |= {"step": StepSize(_FIRST_STEP), "slice": FULL_SIZE}
        self._idle = steps_per_entry is not None
        self._slice_is_next = False

    def saw_events(self) -> None:
        """Events have come since the last part."""
        self._pace.saw_events()

    def wait_s(self, learner: PartitionedLearner | None, now: float, longest_s: float) -> float:
        """Seconds for which an entry may be waited for before the next part."""
        return min(longest_s, self._pace.rest_left(now)) if self._has_work(learner) else longest_s

    def next_part(self, learner: PartitionedLearner | None, now: float, *, loaded: bool) -> Part:
        """What is learned in the turn that begins.

        Args:
            learner: of the first rank; those of the others are at the same place. None where nothing is learned.
            now: the present time.
            loaded: whether more events wait than one turn applies.
        """
        if learner is None or not self._has_work(learner) or not self._pace.is_due(now, loaded=loaded):
            return ""
        if learner.embedded:
            return "table"
        # Training and the version on its way get turns alike.
        slice_is_next, self._slice_is_next = self._slice_is_next, False
        if learner.is_embedding and (slice_is_next or not learner.can_learn):
            return "slice"
        self._slice_is_next = learner.is_embedding
        return "step"

    def size(self, part: Part) -> float:
        """Size of a step or slice, 1 being the configured one."""
        return self._pace.sizes[part].fraction if part in {"step", "slice"} else 1.0

    def follow(self, part: Part, began: float, ended: float) -> None:
        """A part was done: fit the size of the next one to the time that it took."""
        if part == "step":
            self._pace.follow_whole_step(began, ended)
        else:
            self._pace.follow("slice" if part == "slice" else "rows", began, ended)

    def _has_work(self, learner: PartitionedLearner | None) -> bool:
        return learner is not None and not self._idle and not learner.resting
