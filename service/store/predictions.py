"""The store of predictions: the worker writes it, the API reads it, both in atomic steps.

A prediction is a row of float32, the probabilities and the disagreement, in a hash named after version and worker
start; the hash ``served`` says which one readers see and up to which position it is true.
See ``docs/decisions/0004-redis-layout.md``.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import msgspec
import numpy as np
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from olad_core.serving.publication import Publication, RejectedEvent, TableUpdate
from service.store.fence import Fence
from service.store.fence import Superseded as Superseded  # noqa: PLC0414  # what publish raises
from service.store.keys import Keys
from service.store.positions import START, parse_position
from service.store.rows import ROWS_PER_COMMAND, hset_commands
from service.store.scripts import script
from service.store.status import WorkerStatus
from service.store.transaction import Transaction

REJECTED_KEPT = 100_000
"""Rejected events that are kept, about."""
ROW_FORMAT = 2
"""Layout of the rows; readers see no model in tables of another one, until a worker has written them anew."""
_READS_PER_CALL = 1_000
_BYTES_PER_CALL = 2**20
"""Of rows that single reads share one call for."""


ROWS_PER_PIECE = 2_000
"""Rows that readers do not see yet are written so many at once: Redis needs a millisecond or two for them."""


@dataclass(frozen=True)
class _Seen:
    """What stood in Redis before a transaction.

    Attributes:
        rejected_to: position up to which rejected events are written.
        table: that readers see; None before the first publication.
        tables: all there are.
    """

    rejected_to: str
    table: str | None
    tables: tuple[str, ...]


class PredictionWriter:
    """The worker's side. Call :meth:`start` once before the rest; the client must return bytes.

    Args:
        redis: the client.
        keys: of the graph.
        fence: of the worker's start.
    """

    def __init__(self, redis: Redis, keys: Keys, fence: Fence | None = None) -> None:
        self._redis = redis
        self._keys = keys
        self._fence = fence or Fence(redis, keys)
        self._seen: int | None = None
        """The version that readers see since this start; None before its first one."""

    def start(self) -> int:
        """Begin with fresh tables; those of earlier starts stay readable until this one serves a version.

        Returns:
            The number of this start. A writer with a lower number is refused from now on.
        """
        start = self._fence.begin()
        # Those of an earlier worker are not this one's.
        with self._fence.transaction() as (_, pending):
            pending.add("DEL", self._keys.metrics)
            pending.run()
        self._seen = None
        return start

    def visible_position(self) -> str | None:
        """The position readers see; None before the first publication."""
        position = cast("bytes | None", self._redis.hget(self._keys.served, "position"))
        return position.decode() if position is not None else None

    def served_version(self) -> int | None:
        """The version readers see; None before the first one."""
        version = cast("bytes | None", self._redis.hget(self._keys.served, "version"))
        return int(version) if version is not None else None

    def publish(self, publication: Publication) -> None:
        """Make a publication visible in one atomic step.

        Rows of tables that readers do not see yet go ahead of it in pieces, between which Redis answers readers. As
        long as readers still see a table of an earlier start, a publication without a served version fills
        tables and moves nothing: that table does not hold what the new position would promise.

        Raises:
            ValueError: where readers already see a later position.
            Superseded: where another worker has started.
            LogLost: where Redis has lost what was written.
        """
        last: list[TableUpdate] = []
        for update in publication.updates:
            *ahead, rest = [update] if update.version == self._seen else _pieces(update)
            for piece in ahead:
                with self._guarded(publication.position) as (_, pending):
                    self._write_rows(pending, piece)
            last.append(rest)
        with self._guarded(publication.position) as (seen, pending):
            for update in last:
                self._write_rows(pending, update)
            self._write_rejected(pending, publication.rejected, after=seen.rejected_to)
            self._move(pending, publication, seen)
        if publication.served is not None:
            self._seen = publication.served.number

    def write_status(self, status: WorkerStatus, metrics: bytes) -> None:
        """Replace the worker's report and its metrics in Prometheus' text format."""
        with self._fence.transaction() as (_, pending):
            pending.add("MSET", self._keys.status, status.model_dump_json(), self._keys.metrics, metrics)
            pending.run()

    def heartbeat(self, ttl_ms: int) -> None:
        """Say that the worker lives, for that long."""
        with self._fence.transaction() as (_, pending):
            pending.add("SET", self._keys.heartbeat, str(self._fence.start), "PX", ttl_ms)
            pending.add("SET", self._keys.last_beat, str(time.time()))
            pending.run()

    def _table(self, version: int) -> str:
        return f"{version}.{self._fence.start}"

    def _is_own(self, table: str) -> bool:
        return table.endswith(f".{self._fence.start}")

    @contextlib.contextmanager
    def _guarded(self, position: str) -> Iterator[tuple[_Seen, Transaction]]:
        """What readers see, and a transaction that is run at the end, if this is still the newest worker."""
        keys = self._keys
        reads = (("HMGET", keys.served, "position", "rejected_to", "table"), ("SMEMBERS", keys.tables))
        with self._fence.transaction((keys.served,), reads) as ((served, tables), pending):
            visible, rejected_to, table = (value.decode() if value is not None else None for value in served)
            if visible is not None and parse_position(position) < parse_position(visible):
                raise ValueError(f"readers see position {visible}: {position} would go back")
            yield _Seen(rejected_to or START, table, tuple(name.decode() for name in tables)), pending
            pending.run()

    def _move(self, pending: Transaction, publication: Publication, seen: _Seen) -> None:
        """Let readers go on to the publication's position and version, and remove tables that nobody reads then."""
        keys, served = self._keys, publication.served
        fields: dict[str, str | bytes | int] = {"rejected_to": publication.position}
        moves = served is not None or seen.table is None or self._is_own(seen.table)
        if moves:
            fields |= {"position": publication.position, "applied": publication.applied_events}
        if served is not None:
            fields |= {
                "version": served.number,
                "student": served.student,
                "classes": msgspec.json.encode(served.classes),
                "table": self._table(served.number),
                "format": ROW_FORMAT,
            }
        pending.add("HSET", keys.served, *chain.from_iterable(fields.items()))
        gone = {self._table(version) for version in publication.dropped}
        if served is not None:
            gone.update(name for name in seen.tables if not self._is_own(name))
        if gone:
            pending.add("UNLINK", *(keys.predictions(name) for name in gone))
            pending.add("SREM", keys.tables, *gone)
        if moves:
            pending.add("PUBLISH", keys.watermark, publication.position)

    def _write_rows(self, pending: Transaction, update: TableUpdate) -> None:
        name = self._table(update.version)
        key = self._keys.predictions(name)
        pending.add("SADD", self._keys.tables, name)
        rows = np.column_stack([update.probabilities, update.disagreement])
        for command in hset_commands(key, update.nodes, rows):
            pending.add_packed(command)
        for first in range(0, len(update.removed), ROWS_PER_COMMAND):
            pending.add("HDEL", key, *update.removed[first : first + ROWS_PER_COMMAND])

    def _write_rejected(self, pending: Transaction, rejected: Sequence[RejectedEvent], after: str) -> None:
        written = parse_position(after)
        for event in rejected:
            if parse_position(event.position) > written:
                fields = ("position", event.position, "index", event.index, "op", event.op)
                why = ("reason", event.reason, "detail", event.detail)
                whole = ("content", event.content) if event.content else ()
                pending.add("XADD", self._keys.rejected, "MAXLEN", "~", REJECTED_KEPT, "*", *fields, *why, *whole)


def _pieces(update: TableUpdate) -> Iterator[TableUpdate]:
    """The update in pieces of so many rows, one at least; removed nodes leave with the first."""
    for first in range(0, max(1, len(update.nodes)), ROWS_PER_PIECE):
        part = slice(first, first + ROWS_PER_PIECE)
        yield TableUpdate(
            update.version,
            update.nodes[part],
            update.probabilities[part],
            update.disagreement[part],
            () if first else update.removed,
        )


@dataclass(frozen=True)
class Model:
    """The published version that readers see."""

    version: int
    student: str
    classes: tuple[str, ...]
    row: struct.Struct
    """Layout of one prediction: a float32 for each class, then the disagreement."""


@dataclass(frozen=True)
class Snapshot:
    """What is served at one moment.

    Attributes:
        position: position up to which the rows are true.
        behind: events in the log after it.
        model: the version that made the rows; None while none is published.
        rows: one for each node asked for; None for a node that is not in the graph.
    """

    position: str
    behind: int
    model: Model | None
    rows: Sequence[bytes | None]


class RowsTooLarge(ValueError):
    """The rows that were asked for have more bytes than may be read at once.

    Attributes:
        classes: probabilities in each row.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(f"too many rows of {classes:,} classes")
        self.classes = classes


class PredictionReader:
    """The API's side. Single reads that come at the same time share one call to Redis."""

    def __init__(self, redis: AsyncRedis, keys: Keys) -> None:
        self._keys = keys
        self._script = redis.register_script(script("read_predictions"))
        self._model_fields: tuple[bytes, ...] = ()
        self._model: Model | None = None
        self._waiting: list[tuple[str, asyncio.Future[Snapshot]]] = []
        self._reading: asyncio.Task[None] | None = None

    @property
    def model(self) -> Model | None:
        """The model of the last read; None before the first."""
        return self._model

    async def read(self, nodes: Sequence[str], most_bytes: int = 0) -> Snapshot:
        """The predictions of nodes, all of one moment.

        Args:
            nodes: their ids.
            most_bytes: of all their rows; 0 does not limit.

        Raises:
            RowsTooLarge: the rows have more bytes.
        """
        keys = self._keys
        served, appended, rows, passed = await cast(
            "Awaitable[list[Any]]",
            self._script(keys=[keys.served, keys.appended], args=[keys.predictions(""), most_bytes, *nodes]),
        )
        if passed:
            raise RowsTooLarge(passed // 4 - 1)
        position, applied, *model = served
        behind = max(0, int(appended or 0) - int(applied or 0))
        return Snapshot(position.decode() if position else START, behind, self._parse_model(model[:4]), rows)

    async def read_one(self, node: str) -> Snapshot:
        """The prediction of one node."""
        future: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._waiting.append((node, future))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_waiting())
        return await future

    async def _read_waiting(self) -> None:
        while self._waiting:
            most = _READS_PER_CALL if self._model is None else _BYTES_PER_CALL // self._model.row.size
            most = max(1, min(_READS_PER_CALL, most))
            taken, self._waiting = self._waiting[:most], self._waiting[most:]
            try:
                all_of_them = await self.read([node for node, _ in taken])
            except Exception as error:
                for _, future in taken:
                    if not future.done():
                        future.set_exception(error)
                continue
            rows = all_of_them.rows or [None] * len(taken)
            for (_, future), row in zip(taken, rows, strict=True):
                if not future.done():
                    future.set_result(Snapshot(all_of_them.position, all_of_them.behind, all_of_them.model, (row,)))

    def _parse_model(self, fields: Sequence[bytes | None]) -> Model | None:
        version, student, classes, row_format = fields
        if version is None or student is None or classes is None or row_format != b"%d" % ROW_FORMAT:
            return None
        if (version, student, classes) != self._model_fields:
            names = msgspec.json.decode(classes, type=tuple[str, ...])
            self._model = Model(int(version), student.decode(), names, struct.Struct(f"<{len(names) + 1}f"))
            self._model_fields = (version, student, classes)
        return self._model
