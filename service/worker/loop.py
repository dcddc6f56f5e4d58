"""The worker's loop: it applies events first, publishes what they change, and learns in the time left."""

from __future__ import annotations

import contextlib
from types import FrameType

import structlog

from service.store.fence import PublicationsLost
from service.store.log_reader import Entry
from service.worker.attempts import Attempts
from service.worker.checkpoint_schedule import CheckpointSchedule
from service.worker.lane import MAX_EVENTS_PER_TURN, ApplyFailed, Lane
from service.worker.recovery import Recovery
from service.worker.reporting import Reporter
from service.worker.retrying import Retrying
from service.worker.stop import Stop

log = structlog.get_logger(__name__)

LONGEST_WAIT_S = 0.5
"""How long a worker at rest waits in Redis for an entry, which ends the wait at once. It is far shorter than a
heartbeat is valid."""


class Worker:
    """Takes turns until a stop is requested. Redis may be unavailable in between, and applying entries may fail.

    Args:
        lane: the graph.
        recovery: brings the lane to where readers are.
        retrying: repeats what Redis does not carry out.
        reporter: writes the status.
        checkpoints: are written and trim the log.
        attempts: must not count a stop as a death.
        stop: ends the loop.
    """

    def __init__(
        self,
        lane: Lane,
        recovery: Recovery,
        retrying: Retrying,
        reporter: Reporter,
        checkpoints: CheckpointSchedule,
        attempts: Attempts,
        stop: Stop,
    ) -> None:
        self._lane = lane
        self._recovery = recovery
        self._retrying = retrying
        self._reporter = reporter
        self._checkpoints = checkpoints
        self._attempts = attempts
        self._stop = stop

    def run(self) -> None:
        """Work until a stop is requested, then publish and write a last checkpoint."""
        caught_up = self._recovery.begin()
        while not self._stop.requested:
            try:
                self._retrying.until_done(self._turn)
            except ApplyFailed as failed:
                caught_up = self._recovery.begin_again(failed)
            except PublicationsLost as lost:
                log.error("publishing everything again: Redis has lost publications", lost=str(lost))
                caught_up = self._recovery.begin()
        self._checkpoints.reset()
        if caught_up:
            self._end()
        log.info("stopped", position=self._lane.engine.position)

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Request the loop to end after its turn; may be called in a signal handler."""
        self._stop.requested = True
        self._attempts.excuse()

    def _turn(self) -> None:
        lane = self._lane
        lane.settle()
        entries = self._wait_for_entries()
        if entries:
            lane.apply(entries)
        else:
            lane.answer_requests()
        if not lane.compute_due_in_time():
            lane.learn_in_time(loaded=sum(len(entry.events) for entry in entries) >= MAX_EVENTS_PER_TURN)
        lane.publish_changes()
        lane.log_decisions()
        self._report()
        self._checkpoints.follow(lane)

    def _wait_for_entries(self) -> list[Entry]:
        """The entries of this turn. The worker waits here for them or for a request, and nowhere else."""
        return self._lane.read(wait_s=self._lane.seconds_to_wait(LONGEST_WAIT_S))

    def _report(self) -> None:
        """Once a second: send a heartbeat, check that Redis has not lost entries, and write the status."""
        if self._reporter.is_due:
            self._reporter.beat()
            self._retrying.check_log()
            self._reporter.write(self._lane.engine, rests=self._lane.rests)

    def _end(self) -> None:
        """Do what is owed, publish, and write the last checkpoint, as far as Redis is available."""
        # The next start publishes everything.
        with contextlib.suppress(PublicationsLost):
            self._retrying.until_done(self._lane.settle)
            self._retrying.until_done(self._lane.publish)
        self._checkpoints.begin(self._lane)
        self._retrying.until_done(self._checkpoints.wait)
