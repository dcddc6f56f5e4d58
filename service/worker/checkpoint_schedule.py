"""When a checkpoint is written, and the trimming of the log after it."""

from __future__ import annotations

from dataclasses import dataclass

from olad_core.engine import Engine
from service.store.status import ArchiveStatus, CheckpointStatus
from service.worker.archiver import Archiver
from service.worker.checkpointer import Checkpointer, Saved
from service.worker.clock import Clock
from service.worker.lane import Lane
from service.worker.metrics import WorkerMetrics
from service.worker.stop import Stop
from service.worker.stores import Log


@dataclass(frozen=True)
class Mark:
    """What differs between two states of an engine, wherever they differ."""

    position: str
    steps: int
    decisions: int
    resting: bool


def mark_of(engine: Engine) -> Mark:
    """The mark of an engine's state."""
    trainer = engine.trainer
    steps = trainer.steps + trainer.skipped_steps if trainer else 0
    return Mark(engine.position, steps, engine.decisions.total, engine.resting)


class CheckpointSchedule:
    """Writes a checkpoint at an interval, unless the state is that of the last one.

    Args:
        checkpointer: writes them.
        event_log: is trimmed up to the oldest kept checkpoint.
        interval_s: seconds between the beginnings of two checkpoints.
        metrics: time the copies.
        clock: measures the interval.
        stop: once it is requested, a checkpoint does not wait for memory to be prepared.
        archiver: has the entries that are to be trimmed; None where there is no archive.
    """

    def __init__(
        self,
        checkpointer: Checkpointer,
        event_log: Log,
        interval_s: float,
        metrics: WorkerMetrics,
        clock: Clock,
        stop: Stop,
        archiver: Archiver | None = None,
    ) -> None:
        self._checkpointer = checkpointer
        self._event_log = event_log
        self._interval_s = interval_s
        self._metrics = metrics
        self._clock = clock
        self._stop = stop
        self._archiver = archiver
        self._begun_at = clock.monotonic()
        self._begun: Mark | None = None
        self._written: Mark | None = None
        self.newest: CheckpointStatus | None = None
        """The newest checkpoint of this start."""

    @property
    def archive(self) -> ArchiveStatus | None:
        """How the archive is; None where there is none."""
        return self._archiver.status if self._archiver is not None else None

    def reset(self) -> None:
        """Wait until no checkpoint is being written. What is written next is not compared with it."""
        self._checkpointer.wait()
        self._begun = self._written = None

    def follow(self, lane: Lane) -> bool:
        """Trim the log after a checkpoint has been written, and begin the next one where it is due.

        Returns:
            Whether one was begun.
        """
        self._note(self._checkpointer.finished())
        self._trim_what_is_archived()
        due = self._clock.monotonic() - self._begun_at > self._interval_s
        if not due or self._checkpointer.busy or mark_of(lane.engine) == self._written:
            return False
        return self.begin(lane)

    def begin(self, lane: Lane) -> bool:
        """Copy the state and begin to write it, even where it has not changed; whether that was done.

        It is not done while something is owed, which would be missing in the checkpoint.
        """
        if not lane.is_settled:
            return False
        with self._metrics.stage("checkpoint"):
            begun = self._checkpointer.begin(*lane.engine.state(), now=self._stop.requested)
        if begun:
            self._begun_at = self._clock.monotonic()
            self._begun = mark_of(lane.engine)
        return begun

    def wait(self) -> bool:
        """Wait for a checkpoint that is being written, and trim the log; whether one was written."""
        return self._note(self._checkpointer.wait())

    def _note(self, saved: Saved | None) -> bool:
        if saved is None:
            return False
        self.newest, self._written = saved.status, self._begun
        if self._archiver is None:
            self._event_log.trim_before(saved.oldest_position)
        else:
            self._archiver.want(saved.oldest_position)
        return True

    def _trim_what_is_archived(self) -> None:
        trimmable = self._archiver.follow() if self._archiver is not None else None
        if trimmable is not None:
            self._event_log.trim_before(trimmable)
