"""The worker: one loop that applies events first, publishes what they changed, and learns in the time left."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from types import FrameType

import structlog
from redis.exceptions import RedisError

from olad_core.engine import Engine
from olad_core.errors import OladError
from olad_core.serving.publication import Publication
from olad_core.step_size import StepSize
from service.machine_memory import memory_budget
from service.settings import Settings
from service.store.fence import LogLost
from service.store.log_reader import Entry, LogReader
from service.store.positions import START, parse_position
from service.store.prediction_writer import PredictionWriter
from service.store.redis_refusals import wait_out
from service.store.status import CheckpointStatus
from service.worker.attempts import KILLED, Attempts
from service.worker.checkpointer import Checkpointer, Saved
from service.worker.metrics import WorkerMetrics
from service.worker.pace import LearningPace, Part
from service.worker.reporting import Rates, report

log = structlog.get_logger(__name__)

MAX_EVENTS_PER_TURN = 10_000
"""Events applied in one turn at most, but for a last entry that is larger."""
IDLE_BLOCK_MS = 500
"""How long a worker with nothing to learn waits in Redis for an entry, which ends the wait at once. Far less than a
heartbeat lasts."""
REPORT_EVERY_S = 1.0
HEARTBEAT_MS = 15_000
RECONNECT_AFTER_S = 0.5
Mark = tuple[str, int, int, bool]
"""Position, steps, decisions and rest of an engine: its state is the same where they are."""


class ApplyFailed(OladError, RuntimeError):
    """Applying entries has failed midway; what the engine holds is not to be trusted any more."""

    def __init__(self, entries: list[Entry], cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.entries = entries


class Worker:
    """Holds the engine and its two stores together.

    Args:
        restore: makes the engine out of the newest checkpoint, or a new one.
        reader: the log.
        writer: the store of predictions.
        checkpointer: writes checkpoints.
        attempts: notes what is being applied, for the start after a kill.
        settings: of the service.
    """

    def __init__(
        self,
        restore: Callable[[], Engine],
        reader: LogReader,
        writer: PredictionWriter,
        checkpointer: Checkpointer,
        attempts: Attempts,
        settings: Settings,
    ) -> None:
        self._restore = restore
        self._engine = engine = restore()
        self._reader = reader
        self._writer = writer
        self._checkpointer = checkpointer
        self._attempts = attempts
        self._settings = settings
        self._metrics = WorkerMetrics()
        self._memory_budget = memory_budget(settings.memory_budget_mb)
        self._started_at = time.time()
        self._decisions_told = engine.decisions.total
        self._unpublished: Publication | None = None
        self._steps_owed = 0
        self._saved: CheckpointStatus | None = None
        now = time.monotonic()
        self._saved_at = self._reported_at = now
        self._saved_mark: Mark | None = None
        self._saving_mark: Mark | None = None
        self._rests = False
        self._rests_since = self._started_at
        self._reported_events, self._reported_steps = engine.applied_events, 0
        self._served_version: int | None = None
        self._served_student: str | None = None
        self._pace = LearningPace(settings.freshness_target_ms, now)
        self._slice_is_next = False
        self._log_in_doubt = True
        self._caught_up = False
        self._skipped: dict[str, str] = {}
        # With steps after each entry a turn is one entry, so that no turn is long.
        self._most_events = MAX_EVENTS_PER_TURN if settings.steps_per_entry is None else 1
        self.stopping = False

    def run(self) -> None:
        """Work until :attr:`stopping`, then publish and write a last checkpoint."""
        self._begin_until_it_works(None)
        while not self.stopping:
            try:
                self._keep_trying(self._turn)
            except ApplyFailed as failed:
                self._begin_until_it_works(failed)
        self._checkpointer.wait()
        if self._caught_up:
            self._keep_trying(self._settle)
            self._keep_trying(self._publish)
            self._save()
            self._keep_trying(lambda: self._note_saved(self._checkpointer.wait()))
        log.info("stopped", position=self._engine.position)

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Ask the loop to end after its turn."""
        self.stopping = True
        self._attempts.excuse()

    def _keep_trying(self, step: Callable[[], None]) -> None:
        """Take a step; while Redis is out of reach or refuses what it will take later, wait and take it again."""
        while True:
            try:
                if self._log_in_doubt:
                    self._check_log()
                return step()
            except (RedisError, OSError) as error:
                wait_out(error)
                self._log_in_doubt = True
                self._metrics.reconnects.inc()
                log.warning("Redis cannot be used, trying again", error=str(error), after_s=RECONNECT_AFTER_S)
                if self.stopping:
                    return None
                time.sleep(RECONNECT_AFTER_S)

    def _check_log(self) -> None:
        """See that the log goes on from the state, or go on regardless where just that was asked for."""
        position = self._engine.position
        try:
            self._reader.require(position)
        except LogLost as lost:
            if self._settings.accept_log_loss != position:
                raise LogLost(
                    f"{lost}. Restore Redis's files, or those and the checkpoints from one backup; or set "
                    f"OLAD_ACCEPT_LOG_LOSS={position} to go on from this state without what is lost "
                    "(docs/operations.md)"
                ) from lost
            held = self._engine.graph.schema
            ahead = self._reader.adopt(position, self._engine.applied_events, held)
            log.error("going on without entries that are lost, as asked for", lost=str(lost), events_ahead=ahead)
        self._log_in_doubt = False

    def _begin_until_it_works(self, failed: ApplyFailed | None) -> None:
        """Begin; after a failure again from the newest checkpoint, entry by entry, and without the one that fails.

        An entry gets a second chance, alone: the first failure may have been that of another in the same turn.
        """
        while True:
            if failed is not None:
                self._keep_trying(functools.partial(self._note_failed, failed))
                self._checkpointer.wait()
                self._engine, self._unpublished, self._steps_owed = self._restore(), None, 0
                self._decisions_told = self._engine.decisions.total
                self._saved_mark = self._saving_mark = None
                self._log_in_doubt, self._caught_up = True, False
            if self.stopping:
                return None
            try:
                return self._keep_trying(self._begin)
            except ApplyFailed as again:
                failed = again

    def _note_failed(self, failed: ApplyFailed) -> None:
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
            self._reader.skip(first.position, str(failed))
        self._attempts.isolate(failed.entries)

    def _begin(self) -> None:
        """Catch up with what readers have seen already, then show them all there is."""
        self._writer.start()
        self._beat()
        self._skipped = self._without_killer(self._reader.skipped())
        served = self._writer.served_version()
        if self._settings.steps_per_entry is None and served is not None:
            # What is trained now is not what was served under these numbers before.
            versions = self._engine.versions
            versions.next_number = max(versions.next_number, served + 1)
        visible = parse_position(self._writer.visible_position() or START)
        while parse_position(self._engine.position) < visible and not self.stopping:
            entries = self._read()
            if not entries:
                raise LogLost(f"readers have seen a later position than the log's last, {self._engine.position}")
            self._apply(entries)
            self._report(publishing=False)
        if not self.stopping:
            self._engine.republish()
            self._publish()
            self._caught_up = True
            log.info("caught up", position=self._engine.position, nodes=self._engine.graph.num_nodes)

    def _without_killer(self, skipped: dict[str, str]) -> dict[str, str]:
        """The entries to skip, with one that has killed the worker again and again."""
        killer = self._attempts.killer
        if killer is None or killer in skipped:
            return skipped
        self._reader.skip(killer, KILLED)
        self._metrics.apply_failures.inc()
        log.error("set an entry aside", position=killer, reason=KILLED)
        return skipped | {killer: KILLED}

    def _turn(self) -> None:
        self._settle()
        entries = self._read(block_ms=self._pause_ms())
        if entries:
            self._apply(entries, publish=True)
            self._pace.saw_events()
        if self._settings.steps_per_entry is None and not self._engine.resting:
            loaded = sum(len(entry.events) for entry in entries) >= MAX_EVENTS_PER_TURN
            if self._pace.is_due(time.monotonic(), loaded=loaded):
                self._learn_in_time(loaded=loaded)
        self._publish(only_news=True)
        self._tell_decisions()
        self._report()
        self._note_saved(self._checkpointer.finished())
        due = time.monotonic() - self._saved_at > self._settings.checkpoint_interval_s
        if due and not self._checkpointer.busy and self._mark() != self._saved_mark:
            self._save()

    def _read(self, block_ms: int | None = None) -> list[Entry]:
        """The entries of the next turn; one that is to be applied alone is a turn of its own."""
        position = self._engine.position
        most = 1 if self._attempts.is_within(position) else self._most_events
        return self._attempts.first_turn(self._reader.read(position, max_events=most, block_ms=block_ms))

    def _pause_ms(self) -> int | None:
        """How long to wait for events: not at all where there is something to learn meanwhile."""
        if self._settings.steps_per_entry is not None or self._engine.resting:
            return IDLE_BLOCK_MS
        left = self._pace.rest_left(time.monotonic())
        return max(1, int(1000 * left)) if left > 0 else None

    def _apply(self, entries: list[Entry], *, publish: bool = False) -> None:
        """Apply entries and follow them; with a fixed number of steps an entry, one after the other."""
        steps = self._settings.steps_per_entry
        for turn in [[entry] for entry in entries] if steps is not None else [entries]:
            with self._attempts.applying(turn):
                try:
                    self._apply_turn(turn)
                except Exception as error:
                    raise ApplyFailed(turn, error) from error
                self._steps_owed = steps or 0
                if publish:
                    self._attempts.publishing()
                    self._publish()
            self._settle()

    def _apply_turn(self, entries: list[Entry]) -> None:
        engine = self._engine
        with self._metrics.stage("apply"):
            for entry in entries:
                applied, rejected = engine.applied_events, engine.rejected_events
                why_not = entry.problem or self._skipped.get(entry.position)
                if why_not:
                    engine.skip(entry.position, entry.count, why_not, entry.text(), entry.events)
                elif entry.schema is not None:
                    engine.declare(entry.position, entry.schema)
                elif entry.clock is not None:
                    engine.set_clock(entry.position, entry.clock, entry.arrival)
                else:
                    engine.apply(entry.position, entry.events, entry.arrival)
                self._metrics.events.inc(engine.applied_events - applied)
                self._metrics.rejected.inc(engine.rejected_events - rejected)
        with self._metrics.stage("refresh"):
            engine.refresh()

    def _settle(self) -> None:
        """What the last entry is still owed: a publication that did not get through, then its fixed steps."""
        if self._unpublished is not None:
            self._send(self._unpublished)
        if self._steps_owed:
            self._learn(functools.partial(self._engine.learn, self._steps_owed))
            self._steps_owed = 0

    def _learn(self, work: Callable[[], object]) -> None:
        """Learn; a failure costs the students, never what is served."""
        with self._metrics.stage("learn"):
            try:
                work()
            except Exception as error:
                self._metrics.training_failures.inc()
                log.exception("training failed, beginning with new students", error=str(error))
                self._engine.restart_training()

    def _learn_in_time(self, *, loaded: bool) -> None:
        """A training step, and a turn later a slice of the version on its way; under load both, being rare."""
        if self._engine.converged:
            self._slice_is_next = False
            self._learn_part("slice", self._engine.finish)
            return
        slice_is_next, self._slice_is_next = self._slice_is_next, False
        if not slice_is_next:
            self._learn_part("step", self._engine.train)
            self._slice_is_next = self._engine.versions.candidate is not None and not loaded
        if slice_is_next or loaded:
            self._learn_part("slice", self._engine.embed)

    def _learn_part(self, part: Part, work: Callable[[StepSize], object]) -> None:
        """One part and what it makes visible, of a size that keeps events waiting no longer than is allowed."""
        started = time.monotonic()
        self._learn(functools.partial(work, self._pace.sizes[part]))
        self._publish(only_news=True)
        self._pace.follow(part, started, time.monotonic())

    def _publish(self, *, only_news: bool = False) -> None:
        """Make what has changed visible; a publication that did not get through goes first."""
        if self._unpublished is not None:
            self._send(self._unpublished)
        if self._engine.has_news or not only_news:
            self._send(self._engine.take_publication())

    def _send(self, publication: Publication) -> None:
        self._unpublished = publication
        with self._metrics.stage("publish"):
            self._writer.publish(publication)
        self._unpublished = None
        self._metrics.published.inc(sum(len(update.nodes) for update in publication.updates))
        version = publication.served.number if publication.served else None
        if version != self._served_version and publication.served:
            student = publication.served.student
            # On small graphs versions of the same student follow each other many times a second.
            tell = log.debug if student == self._served_student else log.info
            tell("serving", version=version, student=student, position=publication.position)
            self._served_student = student
        self._served_version = version

    def _tell_decisions(self) -> None:
        """Log and count what was decided since the last time."""
        for decision in self._engine.decisions.since(self._decisions_told):
            self._metrics.decisions.labels(decision.kind).inc()
            # Every version of the same student says so once more.
            tell = log.debug if decision.kind == "student-kept" else log.info
            tell(
                "decided",
                kind=decision.kind,
                student=decision.student,
                version=decision.version,
                reason=decision.reason,
                position=decision.position,
            )
        self._decisions_told = self._engine.decisions.total

    def _beat(self) -> None:
        self._writer.heartbeat(HEARTBEAT_MS)

    def _report(self, *, publishing: bool = True) -> None:
        """Heartbeat and status, once a second."""
        now = time.monotonic()
        elapsed = now - self._reported_at
        if elapsed < REPORT_EVERY_S:
            return
        self._beat()
        if not publishing:
            return
        self._check_log()
        steps = self._engine.trainer.steps if self._engine.trainer else 0
        rates = Rates(
            events_per_s=(self._engine.applied_events - self._reported_events) / elapsed,
            steps_per_s=max(0, steps - self._reported_steps) / elapsed,
        )
        self._reported_at, self._reported_events, self._reported_steps = now, self._engine.applied_events, steps
        rests = self._settings.steps_per_entry is not None or self._engine.resting
        if rests != self._rests:
            self._rests, self._rests_since = rests, time.time()
        status = report(
            self._engine,
            rates,
            learning="resting" if rests else "learning",
            learning_since=self._rests_since,
            started_at=self._started_at,
            now=time.time(),
            checkpoint=self._saved,
            checkpoint_failures=self._checkpointer.failures,
            disk_free=self._checkpointer.disk_free(),
            memory_budget=self._memory_budget,
        )
        self._writer.write_status(status, self._metrics.text(status))

    def _save(self) -> None:
        """Hand the state over to be copied and written; what is not settled yet would be missing from it."""
        if self._unpublished is None and not self._steps_owed:
            with self._metrics.stage("checkpoint"):
                begun = self._checkpointer.begin(*self._engine.state(), now=self.stopping)
            if begun:
                self._saved_at = time.monotonic()
                self._saving_mark = self._mark()

    def _mark(self) -> Mark:
        """Differs from an earlier one where the state does, so that a worker at rest need not write the same again."""
        engine, trainer = self._engine, self._engine.trainer
        steps = trainer.steps + trainer.skipped_steps if trainer else 0
        return engine.position, steps, engine.decisions.total, engine.resting

    def _note_saved(self, saved: Saved | None) -> None:
        """Trim the log behind the oldest kept checkpoint once a new one is written."""
        if saved is not None:
            self._saved, self._saved_mark = saved.status, self._saving_mark
            self._reader.trim_before(saved.oldest_position)
