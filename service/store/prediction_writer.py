"""The worker's side of the predictions: rows, and what readers see of them, written in atomic steps.

A prediction is a row (:mod:`service.store.rows`) in a hash named after version and worker start; the hash ``served``
names the one that readers see and the position up to which it is true. See ``docs/decisions/0004-redis-layout.md``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import cast

import msgspec
from redis import Redis

from olad_core.judging.served_outcomes import NO_RECORDS, Records
from olad_core.serving.publication import Publication, TableUpdate
from service.store.bulk_hset import ROWS_PER_COMMAND, hset_commands
from service.store.change_recorder import ChangeRecorder, Shown
from service.store.fence import Fence, PublicationsLost
from service.store.keys import Keys
from service.store.label_rules import dump_rule
from service.store.marks import setrange_commands
from service.store.node_lists import encode_list
from service.store.outcomes import add_outcomes, outcome_reads
from service.store.past_rows import PastRows
from service.store.positions import START, parse_position
from service.store.presence import Presence
from service.store.questions import ANSWER_KEPT_MS
from service.store.rejected import add_rejected
from service.store.rows import encode_rows, format_of
from service.store.staged_rows import require_staged, staged_reads, take_staged
from service.store.status import WorkerStatus
from service.store.timeline import TimelineWriter
from service.store.transaction import Transaction
from service.variant_names import DEFAULT_VARIANT

LISTS_KEPT = 64
"""Lists of nodes that are stored at most, of 1,000 nodes each: those that were asked for last."""
ROWS_PER_PIECE = 2_000
"""Rows that readers do not see yet are written so many at once: Redis needs a millisecond or two for them."""

WHOLE_ROWS_KEPT_MS = 5_000
"""For so long whole rows wait for the reader who requested them."""


@dataclass(frozen=True)
class _Seen:
    """What stood in Redis before a transaction.

    Attributes:
        rejected_to: position up to which rejected events are written.
        tables: all there are.
        shown: what readers see.
    """

    rejected_to: str
    tables: tuple[str, ...]
    shown: Shown


class PredictionWriter:
    """The worker's side. Call :meth:`start` once before the rest; the client must return bytes.

    Args:
        redis: the client.
        keys: of the graph.
        fence: of the worker's start.
        past_rows: of earlier positions that are kept (:mod:`service.store.past_rows`).
        changes_kept: changes of what is served that are kept; 0 records none.
    """

    def __init__(
        self, redis: Redis, keys: Keys, fence: Fence | None = None, past_rows: int = 0, changes_kept: int = 0
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._fence = fence or Fence(redis, keys)
        self._presence = Presence(redis, keys)
        self._timeline = TimelineWriter(keys)
        self._past = PastRows(redis, keys, past_rows)
        self._recorder = ChangeRecorder(redis, keys, changes_kept) if changes_kept else None
        self._seen: int | None = None
        """The version that readers see since this start; None before its first one."""
        self._written = 0
        """Transactions that this start has carried out, as far as is known."""
        self._answered: str | None = None
        """The last request that is answered, but not in a table that readers see."""
        self._lists: dict[str, None] = {}
        """Names of the lists that are stored, the one asked for last at the end."""

    def start(self) -> int:
        """Begin with fresh tables; those of earlier starts stay readable until this one serves a version.

        Returns:
            The number of this start. A writer with a lower number is refused from now on.
        """
        start = self._fence.begin()
        # Those of an earlier worker are not this one's.
        with self._fence.transaction() as (_, pending):
            pending.add("DEL", self._keys.metrics, self._keys.lists)
            if self._recorder is None:
                # Those of an earlier start, whose continuation nobody would record.
                pending.add("DEL", self._keys.changes)
                pending.add("HDEL", self._keys.served, "changed", "decided")
            pending.run()
        self._past.forget()
        if self._recorder is not None:
            self._recorder.begin()
        self._seen = None
        self._answered = None
        self._lists = {}
        self._written = 0
        return start

    def visible_position(self) -> str | None:
        """The position readers see; None before the first publication."""
        position = cast("bytes | None", self._redis.hget(self._keys.served, "position"))
        return position.decode() if position is not None else None

    def served_version(self) -> int | None:
        """The version readers see; None before the first one."""
        version = cast("bytes | None", self._redis.hget(self._keys.served, "version"))
        return int(version) if version is not None else None

    def publish(self, publication: Publication, staged: Sequence[str] = ()) -> None:
        """Make a publication visible in one atomic step.

        Rows of tables that readers do not see yet go ahead of it in pieces, between which Redis answers readers. As
        long as readers still see a table of an earlier start, a publication without a served version fills
        tables and moves nothing: that table does not hold what the new position would promise.

        Args:
            publication: what becomes visible.
            staged: keys of rows that the ranks of the worker have staged for this position and the served table
                (:mod:`service.store.staged_rows`). They enter it in the same step.

        Raises:
            ValueError: where readers already see a later position.
            Superseded: where another worker has started.
            LogLost: where Redis has lost that this worker has started.
            PublicationsLost: where Redis has lost what this start has published before; :meth:`start` again.
        """
        self._answered = publication.answered or self._answered
        if self._recorder is not None:
            self._recorder.begin_publication()
        last: list[TableUpdate] = []
        for update in publication.updates:
            *ahead, rest = [update] if update.version == self._seen else _pieces(update)
            for piece in ahead:
                with self._guarded(publication.position) as (seen, pending):
                    self._write_rows(pending, piece, publication, seen)
            last.append(rest)
        with self._past_read_again_on_failure(), self._guarded(publication.position, staged) as (seen, pending):
            # What readers see first: a version on its way is compared with it.
            for update in sorted(last, key=lambda one: self._table(one.version) != seen.shown.table):
                if update.version == self._seen:
                    self._past.keep(pending, self._table(update.version), update, publication.position)
                self._write_rows(pending, update, publication, seen)
            if staged and self._seen is not None:
                take_staged(pending, self._keys.predictions(self._table(self._seen)), staged)
            add_rejected(pending, self._keys, publication.rejected, after=seen.rejected_to)
            moves = self._move(pending, publication, seen)
            if moves:
                self._write_whole(pending, publication)
            for reply in publication.replies:
                pending.add("SET", self._keys.reply(reply.question), reply.content, "PX", ANSWER_KEPT_MS)
            shown_now = seen.shown.table if publication.served is None else self._table(publication.served.number)
            if self._recorder is not None:
                self._recorder.record(pending, publication, shown_now, seen.shown, moves=moves)
        if self._recorder is not None:
            self._recorder.carried_out(shown_now, [self._table(version) for version in publication.dropped])
        if moves:
            self._answered = None
        if publication.served is not None:
            self._seen = publication.served.number

    @contextlib.contextmanager
    def _past_read_again_on_failure(self) -> Iterator[None]:
        """It may be otherwise in Redis than is known here, where the answer to a transaction is lost."""
        try:
            yield
        except BaseException:
            self._past.forget()
            raise

    def write_status(self, status: WorkerStatus, metrics: bytes, outcomes: Records = NO_RECORDS) -> None:
        """Replace the worker's report and its metrics in Prometheus' text format; a sample of the report stays.

        Args:
            status: the report.
            metrics: in Prometheus' text format.
            outcomes: further records, how what was served has scored; kept where there are several variants.
        """
        about_outcomes, about_time = outcome_reads(self._keys, outcomes), self._timeline.reads(status)
        with self._fence.transaction(reads=(*about_outcomes, *about_time)) as (found, pending):
            pending.add("MSET", self._keys.status, status.model_dump_json(), self._keys.metrics, metrics)
            add_outcomes(pending, self._keys, outcomes, found[: len(about_outcomes)])
            self._timeline.add(pending, status, found[len(about_outcomes) :])
            pending.run()

    def forget_outcomes(self) -> None:
        """Delete the records of students that are no more."""
        with self._fence.transaction() as (_, pending):
            pending.add("DEL", self._keys.outcomes, self._keys.outcomes_written)
            pending.run()

    def heartbeat(self, ttl_ms: int) -> None:
        """Say that the worker lives, for that long, unless its process ends before."""
        self._presence.show()
        with self._fence.transaction() as (_, pending):
            pending.add("SET", self._keys.heartbeat, str(self._fence.start), "PX", ttl_ms)
            pending.add("SET", self._keys.last_beat, str(time.time()))
            pending.run()

    def _table(self, version: int) -> str:
        return table_name(self._keys, version, self._fence.start)

    def _is_own(self, table: str) -> bool:
        return table.endswith(f".{self._fence.start}")

    @contextlib.contextmanager
    def _guarded(self, position: str, staged: Sequence[str] = ()) -> Iterator[tuple[_Seen, Transaction]]:
        """What readers see, and a transaction that is run at the end, if this is still the newest worker."""
        keys = self._keys
        fields = ("position", "rejected_to", "table", "changed", "decided", "rule", "written")
        reads = (("HMGET", keys.served, *fields), ("SMEMBERS", keys.tables), *staged_reads(staged))
        with self._fence.transaction((keys.served, *staged), reads) as ((served, tables, *found), pending):
            require_staged(found, self._fence.start, position)
            texts = [value.decode() if value is not None else None for value in served[:5]]
            visible, rejected_to, table, changed, decided = texts
            self._require_written(served[6])
            if visible is not None and parse_position(position) < parse_position(visible):
                raise ValueError(f"readers see position {visible}: {position} would go back")
            shown = Shown(table, served[5] or b"", changed, decided)
            seen = _Seen(rejected_to or START, tuple(name.decode() for name in tables), shown)
            yield seen, pending
            pending.add("HSET", keys.served, "written", f"{self._fence.start}.{self._written + 1}")
            pending.run()
            self._written += 1

    def _require_written(self, found: bytes | None) -> None:
        """See that Redis has all that this start has written; the last transaction may be there without an answer."""
        start, _, count = (found or b"").decode().partition(".")
        there = int(count) if start == str(self._fence.start) else 0
        if not self._written <= there <= self._written + 1:
            raise PublicationsLost(f"Redis has {there} of {self._written} transactions of start {self._fence.start}")

    def _move(self, pending: Transaction, publication: Publication, seen: _Seen) -> bool:
        """Let readers go on to the publication's position and version, and remove tables that nobody reads then.

        Returns:
            Whether they go on: they do not while they see a table of an earlier start.
        """
        keys, served, table = self._keys, publication.served, seen.shown.table
        fields: dict[str, str | bytes | int] = {"rejected_to": publication.position}
        moves = served is not None or table is None or self._is_own(table)
        if moves:
            fields |= {"position": publication.position, "applied": publication.applied_events}
            if self._answered is not None:
                fields["answered"] = self._answered
        if served is not None:
            fields |= {
                "version": served.shown,
                "student": served.student,
                "classes": msgspec.json.encode(served.classes),
                "table": self._table(served.number),
                "format": format_of(len(served.classes)),
            }
        rule = dump_rule(publication.rule)
        if moves and rule != seen.shown.rule:
            fields["rule"] = rule
        pending.add("HSET", keys.served, *chain.from_iterable(fields.items()))
        gone = {self._table(version) for version in publication.dropped}
        if served is not None:
            gone.update(name for name in seen.tables if not self._is_own(name))
        if moves:
            self._past.follow(pending, publication, self._table(served.number) if served is not None else table)
        if gone:
            pending.add("SREM", keys.tables, *gone)
        if unneeded := self._past.unneeded(gone):
            both = chain.from_iterable((keys.predictions(name), keys.marks(name)) for name in unneeded)
            pending.add("UNLINK", *both)
        if moves:
            self._write_lists(pending, publication)
            pending.add("PUBLISH", keys.watermark, publication.position)
            if self._answered is not None:
                pending.add("PUBLISH", keys.answered, self._answered)
                # Nobody reads those before it any more.
                pending.add("XTRIM", keys.requests, "MINID", self._answered)
        return moves

    def _write_lists(self, pending: Transaction, publication: Publication) -> None:
        """Write the lists that were asked for; the longest unasked ones go beyond so many."""
        if publication.served is None:
            return
        for found in publication.lists:
            self._lists.pop(found.name, None)
            self._lists[found.name] = None
            pending.add("HSET", self._keys.lists, found.name, encode_list(found, publication))
        surplus = list(self._lists)[: max(0, len(self._lists) - LISTS_KEPT)]
        for name in surplus:
            del self._lists[name]
        if surplus:
            pending.add("HDEL", self._keys.lists, *surplus)

    def _write_whole(self, pending: Transaction, publication: Publication) -> None:
        """Hand whole rows to those who requested them: each takes its own, or they expire."""
        for answer in publication.whole:
            key = self._keys.whole(self._table(answer.rows.version), answer.request)
            rows = encode_rows(answer.rows, parse_position(publication.position), publication.applied_events)
            for command in hset_commands(key, answer.rows.nodes, rows):
                pending.add_packed(command)
            pending.add("HSET", key, "", b"")
            pending.add("PEXPIRE", key, WHOLE_ROWS_KEPT_MS)

    def _write_rows(self, pending: Transaction, update: TableUpdate, publication: Publication, seen: _Seen) -> None:
        name = self._table(update.version)
        if self._recorder is not None:
            self._recorder.follow(update, name, publication, seen.shown)
        key = self._keys.predictions(name)
        pending.add("SADD", self._keys.tables, name)
        rows = encode_rows(update, parse_position(publication.position), publication.applied_events)
        for command in hset_commands(key, update.nodes, rows):
            pending.add_packed(command)
        for first in range(0, len(update.removed), ROWS_PER_COMMAND):
            pending.add("HDEL", key, *update.removed[first : first + ROWS_PER_COMMAND])
        if update.marked is not None:
            for change in setrange_commands(self._keys.marks(name), update.marked):
                pending.add(*change)


def table_name(keys: Keys, version: int, start: int | None) -> str:
    """Name of the table of a version's rows that a start of the worker writes.

    >>> table_name(Keys("g"), 3, 7), table_name(Keys("g", "wide"), 3, 7)
    ('3.7', 'wide.3.7')
    """
    name = f"{version}.{start}"
    # Readers that go on from one variant to another must not take tables of both for the same.
    return name if keys.variant == DEFAULT_VARIANT else f"{keys.variant}.{name}"


def _pieces(update: TableUpdate) -> Iterator[TableUpdate]:
    """The update in pieces of so many rows, one at least.

    Removed nodes leave with the first, marks come with the last.
    """
    count = len(update.nodes)
    for first in range(0, max(1, count), ROWS_PER_PIECE):
        part = slice(first, first + ROWS_PER_PIECE)
        yield replace(
            update,
            nodes=update.nodes[part],
            probabilities=update.probabilities[part],
            disagreement=update.disagreement[part],
            removed=() if first else update.removed,
            rows=update.rows[part],
            origins=update.origins and update.origins.part(part),
            marked=update.marked if first + ROWS_PER_PIECE >= count else None,
        )
