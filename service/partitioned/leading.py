"""What the first rank does beside its part: it decides what a turn is, publishes, answers, and reports."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

import msgspec
import structlog
import torch

from olad_core.partition.exchange import OutOfStep
from olad_core.serving.publication import Publication, RejectedEvent
from service.partitioned.answering import Answers, Wanted
from service.partitioned.checkpoints import PartWritten, RankCheckpoints
from service.partitioned.collectives import RankLost
from service.partitioned.follower import Follower
from service.partitioned.learning_report import RankLearningReport, version_status
from service.partitioned.pace import Part, RankPace
from service.partitioned.turn_size import TurnSize
from service.store.fence import LogLost
from service.store.log_reader import Entry, LogReader
from service.store.positions import START
from service.store.prediction_writer import PredictionWriter
from service.store.request_reader import RequestReader
from service.store.status import GraphStatus, WorkerStatus
from service.worker.attempts import KILLED, Attempts
from service.worker.clock import Clock
from service.worker.metrics import WorkerMetrics
from service.worker.reporting import Rates
from service.worker.stop import Stop

log = structlog.get_logger(__name__)

LONGEST_WAIT_MS = 500
"""For so long the first rank waits in Redis for an entry, which ends the wait at once."""
REPORT_EVERY_S = 1.0
HEARTBEAT_MS = 15_000
_REQUESTS_AT_ONCE = 100
_ANSWERS_AT_ONCE = 4
"""Of a turn: events wait for them."""


class Proposal(msgspec.Struct, frozen=True):
    """What a rank brings to the beginning of a turn; what the first rank proposes is done.

    Attributes:
        stop: whether a stop was requested of this rank.
        written: how far it is with a checkpoint.
        upto: position of the last entry of the turn; empty where there is none.
        events: that the entries of the turn have together.
        skipped: positions of entries of the turn that are not applied, each with the reason.
        publishes: whether something becomes visible in this turn.
        checkpoint: number of the checkpoint that begins after the turn; 0 for none.
        reports: whether the first rank reports after the turn.
        part: what is learned in the turn.
        size: of a step or slice, 1 being the configured one.
        wanted: what readers wait for, answered at the position of the turn.
    """

    stop: bool = False
    written: PartWritten = PartWritten()
    upto: str = ""
    events: int = 0
    skipped: dict[str, str] = {}
    publishes: bool = False
    checkpoint: int = 0
    reports: bool = False
    part: Part = ""
    size: float = 1.0
    wanted: tuple[Wanted, ...] = ()


class Sizes(msgspec.Struct, frozen=True):
    """What one rank has of the graph.

    Attributes:
        nodes: that it owns.
        edges: those to nodes of other ranks counted as halves.
        labelled: owned nodes whose label is known.
        copies: of other ranks' nodes.
        sent_bytes: what it has sent to other ranks since the start.
    """

    nodes: int
    edges: float
    labelled: int
    copies: int
    sent_bytes: int


class Leader:
    """The first rank's part of the turns.

    Args:
        event_log: the log.
        predictions: the store of predictions.
        requests: of readers.
        attempts: which entries are being applied, for the start after a kill.
        metrics: of the worker.
        clock: the time that intervals are measured by.
        checkpoint_interval_s: seconds between the beginnings of two checkpoints.
        stop: of this rank.
        pace: when there is time to learn.
    """

    def __init__(
        self,
        event_log: LogReader,
        predictions: PredictionWriter,
        requests: RequestReader,
        attempts: Attempts,
        metrics: WorkerMetrics,
        clock: Clock,
        checkpoint_interval_s: float,
        stop: Stop,
        pace: RankPace,
    ) -> None:
        self._event_log = event_log
        self._predictions = predictions
        self._requests = requests
        self._attempts = attempts
        self._metrics = metrics
        self._clock = clock
        self._interval_s = checkpoint_interval_s
        self._stop = stop
        self._pace = pace
        self._skipped: Mapping[str, str] = {}
        self._answers = Answers()
        self._answered: str | None = None
        self._trim_to: str | None = None
        self._turn_size = TurnSize()
        self._turn_began, self._turn_events = 0.0, 0
        # The version whose table readers see.
        self._shown: int | None = None
        self._checkpoint_at = clock.monotonic()
        self._checkpointed = ""
        self._started_at = clock.wall()
        # When it was reported last, the events that were applied then, and the training steps.
        self._reported = (-math.inf, 0, 0)
        self._learning = RankLearningReport(self._started_at)

    def begin(self) -> tuple[int, str]:
        """Begin a new start of the worker: its number, and the position that readers see."""
        start = self._predictions.start()
        self._requests.begin()
        self._predictions.heartbeat(HEARTBEAT_MS)
        self._skipped = self._entries_to_skip()
        return start, self._predictions.visible_position() or START

    def propose(
        self, follower: Follower, checkpoints: RankCheckpoints, written: PartWritten, *, replays: bool
    ) -> tuple[list[Entry], Proposal]:
        """The entries of the next turn, and what all ranks do in it. It waits for entries, and nowhere else.

        Args:
            follower: of this rank.
            checkpoints: of this rank.
            written: how far this rank is with one.
            replays: whether readers have seen a later position.

        Raises:
            LogLost: entries are missing.
        """
        self.trim(self._trim_to)
        self._trim_to = None
        now, position = self._clock.monotonic(), follower.position
        self._turn_size.follow(self._turn_events, now - self._turn_began)
        reports = now - self._reported[0] >= REPORT_EVERY_S
        if reports:
            self._event_log.require(position)
        entries = self._entries(position)
        if not entries and replays:
            raise LogLost(f"readers have seen a later position than the log's last, {position}")
        learner = None if replays else follower.serving.learner
        wait_ms = round(1000 * self._pace.wait_s(learner, now, LONGEST_WAIT_MS / 1000))
        if not entries and not self._stop.requested and wait_ms > 0:
            self._requests.wait(position, wait_ms)
            entries = self._entries(position)
        if entries:
            self._pace.saw_events()
        loaded = sum(len(entry.events) for entry in entries) >= self._turn_size.most
        part = self._pace.next_part(learner, self._clock.monotonic(), loaded=loaded)
        wanted = () if replays else self._read_requests()
        due = now - self._checkpoint_at > self._interval_s and written.stage == "none" and not replays
        checkpoint = checkpoints.next_number() if due and position != self._checkpointed else 0
        if checkpoint:
            self._checkpoint_at, self._checkpointed = now, position
        self._turn_began, self._turn_events = self._clock.monotonic(), sum(entry.count for entry in entries)
        plan = Proposal(
            stop=self._stop.requested,
            written=written,
            upto=entries[-1].position if entries else "",
            events=self._turn_events,
            skipped={
                entry.position: self._skipped[entry.position] for entry in entries if entry.position in self._skipped
            },
            publishes=bool(entries) or self._answered is not None,
            checkpoint=checkpoint,
            reports=reports,
            part=part,
            size=self._pace.size(part),
            wanted=wanted,
        )
        return entries, plan

    def now(self) -> float:
        """Seconds of the clock that parts are measured by."""
        return self._clock.monotonic()

    def take_answers(self, answers: Answers) -> None:
        """Publish answers in the next publication."""
        self._answers = answers

    def worked(self, part: Part, began: float) -> None:
        """All ranks have done a part of learning, which began then."""
        self._pace.follow(part, began, self._clock.monotonic())

    def trim_later(self, position: str | None) -> None:
        """Trim the log up to a position at the beginning of the next turn; None trims nothing."""
        self._trim_to = position or self._trim_to

    def trim(self, position: str | None) -> None:
        """Trim the log up to a position that no kept checkpoint needs; None trims nothing."""
        if position is not None:
            self._event_log.trim_before(position)

    @contextlib.contextmanager
    def applying(self, entries: Sequence[Entry]) -> Iterator[None]:
        """Mark entries while they are applied and published.

        Where another rank is lost meanwhile, this process ends at once and the mark stays: as after a kill, the next
        start applies them one by one, and sets one aside that ends ranks again and again.
        """
        with self._attempts.applying(entries):
            try:
                yield
                self._metrics.events.inc(sum(len(entry.events) for entry in entries))
            except RankLost as lost:
                log.error("another rank is lost, all begin again", reason=str(lost))
                end_at_once()

    @contextlib.contextmanager
    def isolating(self, entries: Sequence[Entry]) -> Iterator[None]:
        """Have entries that cannot be applied applied one by one by the next start; one that is alone is skipped."""
        try:
            yield
        except (RankLost, OutOfStep):
            raise
        except Exception as error:
            self._metrics.apply_failures.inc()
            if self._attempts.is_isolated(entries):
                self._event_log.skip(entries[0].position, f"{type(error).__name__}: {error}")
            self._attempts.isolate(entries)
            raise

    def publish(self, follower: Follower, rejected: tuple[RejectedEvent, ...], staged: Sequence[str]) -> None:
        """Let readers see the position, and the rows that ranks have staged or written."""
        counts, version = follower.counts, follower.serving.version
        before = self._shown
        publication = Publication(
            counts.position,
            counts.applied,
            (),
            version,
            dropped=(before,) if before is not None and version is not None and version.number != before else (),
            rejected=rejected,
            answered=self._answered,
            rule=follower.rule,
            lists=self._answers.lists,
            whole=self._answers.whole,
            replies=self._answers.replies,
        )
        self._metrics.rejected.inc(len(rejected))
        with self._metrics.stage("publish"):
            self._predictions.publish(publication, staged)
        self._answered, self._answers = None, Answers()
        self._shown = version.number if version is not None else before

    def report(self, sizes: Sequence[Sizes], follower: Follower, checkpoints: RankCheckpoints) -> None:
        """Send a heartbeat, and write the status."""
        now, learner = self._clock.monotonic(), follower.serving.learner
        sample = (now, follower.counts.applied, learner.steps if learner is not None else 0)
        seconds = now - self._reported[0]
        events, steps = (max(0, new - old) / seconds for new, old in zip(sample[1:], self._reported[1:], strict=True))
        self._reported = sample
        self._predictions.heartbeat(HEARTBEAT_MS)
        status = self._status(sizes, follower, checkpoints, Rates(events, steps))
        self._predictions.write_status(status, self._metrics.text(status))

    def _status(
        self, sizes: Sequence[Sizes], follower: Follower, checkpoints: RankCheckpoints, rates: Rates
    ) -> WorkerStatus:
        graph, counts, serving = follower.partition.graph, follower.counts, follower.serving
        now = self._clock.wall()
        return WorkerStatus(
            position=counts.position,
            applied_events=counts.applied,
            rejected_events=counts.rejected,
            started_at=self._started_at,
            updated_at=now,
            device=str(torch.device("cpu")),
            events_per_s=rates.events_per_s,
            steps_per_s=rates.steps_per_s,
            graph=GraphStatus(
                nodes=sum(each.nodes for each in sizes),
                edges=round(sum(each.edges for each in sizes)),
                labelled=sum(each.labelled for each in sizes),
                classes=tuple(graph.classes),
                feature_width=graph.num_features,
                latest_time=graph.clock if math.isfinite(graph.clock) else None,
                event_time=graph.clock_from_ts,
            ),
            served=None if serving.version is None else version_status(serving.version, serving.made_at),
            checkpoint=checkpoints.newest,
            checkpoint_failures=checkpoints.failures,
            disk_free=checkpoints.disk_free(),
            partitions=len(sizes),
            **self._learning.report(serving.learner, graph.classes, now),
        )

    def _entries(self, position: str) -> list[Entry]:
        most = 1 if self._attempts.is_within(position) else self._turn_size.most
        return self._attempts.first_turn(self._event_log.read(position, max_events=most))

    def _read_requests(self) -> tuple[Wanted, ...]:
        """Note the requests that have come; those that all ranks have to answer."""
        wanted: list[Wanted] = []
        for _ in range(_REQUESTS_AT_ONCE):
            found = self._requests.read()
            if not found:
                break
            self._answered = found[0].number
            if (each := Wanted.by(found[0])) is not None:
                wanted.append(each)
            if len(wanted) == _ANSWERS_AT_ONCE:
                break
        return tuple(wanted)

    def _entries_to_skip(self) -> Mapping[str, str]:
        """The entries that are not applied, each with the reason; one that has ended ranks repeatedly is new."""
        skipped, killer = self._event_log.skipped(), self._attempts.killer
        if killer is None or killer in skipped:
            return skipped
        self._event_log.skip(killer, KILLED)
        self._metrics.apply_failures.inc()
        log.error("set an entry aside", position=killer, reason=KILLED)
        return skipped | {killer: KILLED}


def end_at_once(status: int = 1) -> NoReturn:
    """End this process without waiting for other ranks, which may be gone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
