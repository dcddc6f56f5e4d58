"""The loop of one rank: all ranks take the same turns along the log, in step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import numpy as np
import structlog

from olad_core.partition.learner import SLICE
from olad_core.step_size import StepSize
from service.partitioned.answering import RankAnswers, Wanted
from service.partitioned.checkpoints import PartWritten, RankCheckpoints
from service.partitioned.follower import Follower
from service.partitioned.leading import Leader, Proposal, Sizes
from service.partitioned.pace import Part
from service.partitioned.ranks import Ranks
from service.store.keys import Keys
from service.store.log_reader import Entry, LogReader
from service.store.positions import parse_position
from service.store.prediction_writer import table_name
from service.store.staged_rows import RankRows
from service.worker.stop import Stop

log = structlog.get_logger(__name__)

ROWS_AT_ONCE = 2_000
"""Rows that readers do not see yet are written so many at once."""


class RankLoop:
    """Takes turns until a stop is requested of any rank.

    Args:
        ranks: all of them, with the time limit of a turn.
        patient: the same, with a longer one, for the start and the end.
        follower: this rank's state, whose layers are computed.
        event_log: the log.
        rows: this rank's side of the predictions.
        leader: what the first rank does beside; None at the others.
        checkpoints: are written by all ranks.
        stop: ends the loop.
        most_read: nodes and edges that one answer may read.
        steps_per_entry: training steps after each entry; 0 lets the first rank decide when there is time for one.
    """

    def __init__(
        self,
        ranks: Ranks,
        patient: Ranks,
        follower: Follower,
        event_log: LogReader,
        rows: RankRows,
        leader: Leader | None,
        checkpoints: RankCheckpoints,
        stop: Stop,
        *,
        most_read: int,
        steps_per_entry: int = 0,
    ) -> None:
        self._ranks = ranks
        self._patient = patient
        self._follower = follower
        self._event_log = event_log
        self._rows = rows
        self._leader = leader
        self._checkpoints = checkpoints
        self._stop = stop
        self._entries: Sequence[Entry] = ()
        self._steps_per_entry = steps_per_entry
        self._has_switched = False
        self._answers = RankAnswers(ranks, follower, most_read)

    def run(self, visible: str, keys: Keys, start: int) -> None:
        """Apply what readers have seen, publish everything, and take turns; in the end write a last checkpoint.

        Args:
            visible: position that readers see.
            keys: of the graph.
            start: number of the worker's start.
        """
        self._keys, self._start = keys, start
        goes_on = True
        while goes_on and parse_position(self._follower.position) < parse_position(visible):
            goes_on = self._turn(visible)
        if not goes_on:
            return
        self._publish_everything()
        if self._leader is not None:
            log.info("caught up", position=self._follower.position, ranks=self._ranks.size)
        while self._turn():
            pass
        self._write_last_checkpoint()
        if self._leader is not None:
            log.info("stopped", position=self._follower.position)

    def _turn(self, visible: str = "") -> bool:
        """One turn, which may be of a replay up to the position that readers see; whether the loop goes on."""
        replays = bool(visible)
        proposals = self._ranks.together("turn", Proposal, lambda: self._propose(replays=replays))
        plan = proposals[0]
        trim_to = self._checkpoints.follow([each.written for each in proposals])
        if self._leader is not None:
            self._leader.trim_later(trim_to)
        if plan.upto:
            self._read(plan.upto, plan.events)
            self._apply(plan, publish=plan.publishes and not replays)
        elif plan.publishes:
            self._answer(plan.wanted)
            self._publish()
        if replays:
            self._follower.forget_news(visible)
        if plan.part:
            self._work(plan.part, plan.size)
        if plan.reports:
            sizes = self._ranks.together("sizes", Sizes, self._sizes)
            self._lead("report", lambda leader: leader.report(sizes, self._follower, self._checkpoints))
        if plan.checkpoint:
            self._checkpoints.begin(plan.checkpoint, self._follower)
        return not any(each.stop for each in proposals)

    def _propose(self, *, replays: bool) -> Proposal:
        written = self._checkpoints.stage()
        if self._leader is None:
            return Proposal(self._stop.requested, written)
        self._entries, plan = self._leader.propose(self._follower, self._checkpoints, written, replays=replays)
        return plan

    def _read(self, upto: str, events: int) -> None:
        """Read the entries of the turn, which the first rank has read already, and which have so many events."""
        last, after = parse_position(upto), self._follower.position

        def read() -> bool:
            if self._leader is None:
                # One more, so that entries without events after the last of them are read too.
                entries = self._event_log.read(after, max_events=events + 1)
                self._entries = [entry for entry in entries if parse_position(entry.position) <= last]
            return bool(self._entries) and self._entries[-1].position == upto

        # A replica that has taken over may lack them for a moment; the first rank would find that they are lost.
        while not all(self._ranks.together("entries", bool, read)):
            log.warning("a rank does not find the entries that the first one has read", upto=upto)

    def _apply(self, plan: Proposal, *, publish: bool) -> None:
        """Apply the entries of the turn, and let readers see what they change."""
        leader, entries = self._leader, self._entries
        with leader.applying(entries) if leader is not None else contextlib.nullcontext():
            with leader.isolating(entries) if leader is not None else contextlib.nullcontext():
                for entry in entries:
                    self._ranks.run(self._follower.apply(entry, plan.skipped))
                    self._learn_of_entry()
            if publish:
                self._answer(plan.wanted)
                self._publish()

    def _answer(self, wanted: Sequence[Wanted]) -> None:
        """Answer what readers wait for; the answers are published with the position."""
        if not wanted:
            return
        self._ranks.run(self._follower.follow_rule())
        answers = self._answers.answer(wanted)
        if self._leader is not None:
            self._leader.take_answers(answers)

    def _learn_of_entry(self) -> None:
        """The fixed number of steps after each entry; each is followed by a slice of the version on its way."""
        learner = self._follower.serving.learner
        if learner is None or not self._steps_per_entry:
            return
        for _ in range(self._steps_per_entry):
            self._ranks.run(learner.step())
            self._ranks.run(learner.embed())
            if learner.embedded:
                # What is learned must not depend on which entries are applied in one turn.
                self._follower.switch()
                self._has_switched = True

    def _work(self, part: Part, size: float) -> None:
        """A part of learning that the first rank has proposed; it measures how long all take."""
        learner, before = self._follower.serving.learner, self._leader.now() if self._leader else 0.0
        assert learner is not None, "weights are fixed"
        if part == "step":
            self._ranks.run(learner.step(StepSize(size)))
        elif part == "slice":
            self._ranks.run(learner.embed(StepSize(size).of(SLICE)))
        else:
            self._fill_next()
        if self._leader is not None:
            self._leader.worked(part, before)

    def _fill_next(self) -> None:
        """Write rows of the next version into its table; once no rank has any left, let readers go on to it."""
        follower, counts = self._follower, self._follower.counts
        update, left = follower.take_next(ROWS_AT_ONCE)

        def fill() -> int:
            if update.nodes or update.removed:
                self._rows.fill(self._table_of(update.version), update, counts.position, counts.applied)
            return left

        if not sum(self._ranks.together("next version", int, fill)):
            follower.switch()
            self._make_visible([])

    def _table_of(self, version: int) -> str:
        return table_name(self._keys, version, self._start)

    def _publish(self) -> None:
        """Let readers see what has changed, and the position."""
        if self._has_switched:
            self._publish_everything()
            return
        follower, counts = self._follower, self._follower.counts
        update = follower.take_rows()

        def stage() -> str:
            return self._rows.stage(update, counts.position, counts.applied) if update is not None else ""

        self._make_visible([key for key in self._ranks.together("rows", str, stage) if key])

    def _publish_everything(self) -> None:
        """Write the rows of all nodes into a new table, and let readers go on to it."""
        self._has_switched = False
        follower, counts = self._follower, self._follower.counts
        follower.forget_changes()
        version = follower.serving.version
        rows = np.flatnonzero(follower.partition.store.owned) if version is not None else np.empty(0, np.int64)

        def fill() -> int:
            for first in range(0, rows.size, ROWS_AT_ONCE):
                piece = follower.rows(rows[first : first + ROWS_AT_ONCE])
                self._rows.fill(self._table_of(piece.version), piece, counts.position, counts.applied)
            return int(rows.size)

        self._patient.together("table", int, fill)
        self._make_visible([])

    def _make_visible(self, staged: Sequence[str]) -> None:
        """Let readers see the position, and rows that are staged or written."""
        follower = self._follower
        self._ranks.run(follower.follow_rule())
        rejected = follower.take_rejected()
        self._lead("publication", lambda leader: leader.publish(follower, rejected, staged))

    def _write_last_checkpoint(self) -> None:
        """Write a checkpoint of the last position, after one that is still being written."""
        self._end_checkpoint()
        number = self._patient.together("number", int, self._next_number)[0]
        self._checkpoints.begin(number, self._follower)
        self._end_checkpoint()

    def _next_number(self) -> int:
        return self._checkpoints.next_number() if self._leader is not None else 0

    def _end_checkpoint(self) -> None:
        stages = self._patient.together("checkpoint", PartWritten, lambda: self._checkpoints.stage(wait=True))
        trim_to = self._checkpoints.follow(stages)
        self._lead("trimming", lambda leader: leader.trim(trim_to))

    def _lead(self, what: str, step: Callable[[Leader], object]) -> None:
        """Let the first rank carry out a step, while the others wait."""

        def lead() -> bool:
            if self._leader is not None:
                step(self._leader)
            return True

        self._ranks.together(what, bool, lead)

    def _sizes(self) -> Sizes:
        graph, store = self._follower.partition.graph, self._follower.partition.store
        owned = store.owned
        return Sizes(
            int(np.count_nonzero(owned)),
            store.count_of_edges,
            int(np.count_nonzero(owned & (graph.label >= 0))),
            store.copies,
            sum(self._ranks.traffic.size.values()),
        )
