"""From a checkpoint to a worker that serves: the start, the return after a failed application, and a lost log."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from olad_core.engine import Engine
from service.archive.place import ArchiveUnusable
from service.archive.writer import OtherHistory
from service.store.fence import LogLost, PublicationsLost
from service.store.positions import START, parse_position
from service.variant_names import DEFAULT_VARIANT
from service.worker.archiver import Archiver
from service.worker.attempts import KILLED, Attempts
from service.worker.checkpoint_schedule import CheckpointSchedule
from service.worker.lane import ApplyFailed, Lane
from service.worker.metrics import WorkerMetrics
from service.worker.reporting import Reporter
from service.worker.retrying import Retrying
from service.worker.stop import Stop
from service.worker.stores import Log, Predictions, Requests

log = structlog.get_logger(__name__)


def check_log(
    event_log: Log,
    lane: Lane,
    accepted_loss: str | None,
    archiver: Archiver | None = None,
    *,
    variant: str = DEFAULT_VARIANT,
) -> int | None:
    """Check that the log continues from the state of a lane. If it does not, adopt it where a person has accepted that.

    Args:
        event_log: the log.
        lane: holds the state.
        accepted_loss: position of the state from which the worker continues although entries are lost.
        archiver: has what the log holds before the position, which is trimmed then; None without an archive.
        variant: of the lane. Only the default one may adopt the log: what others need of it would be trimmed.

    Returns:
        The number of events after an adopted position; None where nothing is lost.

    Raises:
        LogLost: entries are lost, and that is not accepted for this state.
    """
    engine = lane.engine
    try:
        event_log.require(engine.position)
    except LogLost as lost:
        if variant != DEFAULT_VARIANT:
            raise LogLost(
                f"{lost}. Without checkpoints, variant {variant} begins on the graph of another variant's newest one: "
                "remove its own, or wait for the first of another; or give an archive with --from (docs/variants.md)"
            ) from lost
        if accepted_loss != engine.position:
            raise LogLost(
                f"{lost}. Restore Redis's files, or those and the checkpoints from one backup; or set "
                f"OLAD_ACCEPT_LOG_LOSS={engine.position} to go on from this state without what is lost "
                "(docs/operations.md)"
            ) from lost
        if archiver is not None:
            _archive_before(archiver, engine.position, lost)
        ahead = event_log.adopt(engine.position, engine.applied_events, engine.graph.schema)
        log.error("going on without entries that are lost, as asked for", lost=str(lost), events_ahead=ahead)
        return ahead
    return None


def _archive_before(archiver: Archiver, position: str, lost: LogLost) -> None:
    try:
        archiver.archive_now(position)
    except (ArchiveUnusable, OtherHistory) as error:
        raise LogLost(f"{lost}; and what the log still holds cannot be archived: {error}") from error


class Recovery:
    """Brings a lane to where readers are, at the start and after a failed application.

    After a failure the newest checkpoint is restored, and the entries of the failed turn are applied one by one: the
    failure may be that of one among them. An entry that fails alone is skipped from then on.

    Args:
        lane: is brought there.
        restore: makes the engine of the newest checkpoint, or a new one.
        event_log: the log.
        predictions: the store of predictions.
        requests: of readers.
        attempts: which entries are applied alone, and which one has killed the worker.
        checkpoints: must not be written while the engine is replaced.
        reporter: sends heartbeats meanwhile.
        retrying: repeats what Redis does not carry out.
        metrics: count the failures.
        stop: ends it early.
    """

    def __init__(
        self,
        lane: Lane,
        restore: Callable[[], Engine],
        event_log: Log,
        predictions: Predictions,
        requests: Requests,
        attempts: Attempts,
        checkpoints: CheckpointSchedule,
        reporter: Reporter,
        retrying: Retrying,
        metrics: WorkerMetrics,
        stop: Stop,
    ) -> None:
        self._lane = lane
        self._restore = restore
        self._event_log = event_log
        self._predictions = predictions
        self._requests = requests
        self._attempts = attempts
        self._checkpoints = checkpoints
        self._reporter = reporter
        self._retrying = retrying
        self._metrics = metrics
        self._stop = stop

    def begin(self) -> bool:
        """Bring the lane to where readers are; False where a stop was requested before."""
        if self._stop.requested:
            return False
        try:
            return self._until_caught_up()
        except ApplyFailed as failed:
            return self.begin_again(failed)

    def begin_again(self, failed: ApplyFailed) -> bool:
        """Restore the newest checkpoint after a failure, and begin; False where a stop was requested before."""
        while True:
            self._isolate(failed)
            self._checkpoints.reset()
            self._lane.replace_engine(self._restore())
            self._retrying.doubt_log()
            if self._stop.requested:
                return False
            try:
                return self._until_caught_up()
            except ApplyFailed as again:
                failed = again

    def _until_caught_up(self) -> bool:
        while True:
            try:
                return self._retrying.until_done(self._catch_up) or False
            except PublicationsLost as lost:
                log.warning("Redis has lost what was published meanwhile, beginning again", lost=str(lost))

    def _isolate(self, failed: ApplyFailed) -> None:
        """Have the entries of a failed turn applied alone; skip one that was alone."""
        self._metrics.apply_failures.inc()
        first, last = failed.entries[0], failed.entries[-1]
        log.error(
            "applying failed, going back to the newest checkpoint",
            first=first.position,
            last=last.position,
            error=str(failed),
            exc_info=failed,
        )
        if self._attempts.is_isolated(failed.entries):
            self._retrying.until_done(lambda: self._event_log.skip(first.position, str(failed)))
        self._attempts.isolate(failed.entries)

    def _catch_up(self) -> bool:
        """Apply what readers have seen already, then publish everything; False where a stop was requested before."""
        lane = self._lane
        self._predictions.start()
        self._requests.begin()
        if lane.engine.renewed or lane.engine.position == START:
            self._predictions.forget_outcomes()
        self._reporter.beat()
        lane.skipped = self._entries_to_skip()
        served = self._predictions.served_version()
        if served is not None and (lane.fixed_steps is None or lane.engine.renewed):
            # What is trained now is not what was served under these numbers before.
            versions = lane.engine.versions
            versions.next_shown = max(versions.next_shown, served + 1)
        visible = parse_position(self._predictions.visible_position() or START)
        while parse_position(lane.engine.position) < visible and not self._stop.requested:
            entries = lane.read()
            if not entries:
                raise LogLost(f"readers have seen a later position than the log's last, {lane.engine.position}")
            lane.replay(entries)
            if self._reporter.is_due:
                self._reporter.beat()
        if self._stop.requested:
            return False
        lane.publish_everything()
        log.info("caught up", position=lane.engine.position, nodes=lane.engine.graph.num_nodes)
        return True

    def _entries_to_skip(self) -> dict[str, str]:
        """The entries that are not applied, each with the reason; one that has killed the worker repeatedly is new."""
        skipped = self._event_log.skipped()
        killer = self._attempts.killer
        if killer is None or killer in skipped:
            return skipped
        self._event_log.skip(killer, KILLED)
        self._metrics.apply_failures.inc()
        log.error("set an entry aside", position=killer, reason=KILLED)
        return skipped | {killer: KILLED}
