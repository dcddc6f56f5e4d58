"""The worker's side of the log: one Redis stream that it reads in order.

A batch is one entry and the entry's id is the graph's *position*. See ``docs/decisions/0004-redis-layout.md``.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from redis import Redis
from redis.exceptions import ResponseError

from olad_core.event_codec import decode_log_for_people
from olad_core.events import ClockSetting, Event, GraphSchema, VersionChange
from olad_core.graph.event_columns import columns_of_log
from olad_core.schema import HeldSchema
from service.store.entry_format import UnknownEntryFormat, require_known
from service.store.fence import Fence, LogLost
from service.store.keys import Keys
from service.store.positions import START, next_position, parse_position
from service.store.replication import wait_for_replicas_blocking
from service.store.schema import dump_schema
from service.store.scripts import script
from service.variant_names import DEFAULT_VARIANT

MAX_BYTES_PER_READ = 4_000_000
"""What the worker reads at once of the log, but for a single entry that is larger: Redis answers nobody meanwhile."""
HELD_S = 24 * 3600
"""For so many seconds a variant whose worker is away keeps the log from being trimmed.

The default one and the champion always do.
"""


@dataclass(frozen=True)
class Entry:
    """One log entry: a batch of events, a schema's declaration, a setting of the clock, or a change of the version.

    Attributes:
        position: its id.
        events: what it holds.
        schema: the declaration; None for other entries.
        count: events it was counted with when it was appended.
        raw: the batch in MessagePack, as it stands in the log.
        problem: why it cannot be read; empty where it can.
        arrival: seconds at which it came. Unlike positions that goes back where Redis's clock does.
        clock: what to set the graph's clock to; None for other entries.
        version: change of the served version; None for other entries.
    """

    position: str
    events: Sequence[Event]
    schema: GraphSchema | None = None
    count: int = 0
    raw: bytes = b""
    problem: str = ""
    arrival: float = field(default=0.0, compare=False)
    clock: ClockSetting | None = None
    version: VersionChange | None = None

    def text(self) -> str:
        """The batch as JSON, or in Base64 where it is not even MessagePack."""
        try:
            return msgspec.json.encode(_readable(self.raw)).decode()
        except (msgspec.MsgspecError, ValueError, TypeError):
            return base64.b64encode(self.raw).decode()


def _readable(raw: bytes) -> object:
    """The batch as it was sent, or whatever MessagePack it is."""
    try:
        return decode_log_for_people(raw)
    except (msgspec.MsgspecError, ValueError, TypeError):
        return msgspec.msgpack.decode(raw)


class LogReader:
    """The worker's side of the log. The client must return bytes and time out later than a blocking read.

    Args:
        redis: the client.
        keys: of the graph.
        fence: of the worker's start, for what is written.
        replicas: that must have an entry before it is read. So no state has an entry that the primary alone has.
    """

    def __init__(self, redis: Redis, keys: Keys, fence: Fence | None = None, replicas: int = 0) -> None:
        self._redis = redis
        self._replicas = replicas
        self._fence = fence or Fence(redis, keys)
        self._keys = keys
        self._log = keys.log
        self._read = redis.register_script(script("read_log"))
        self._check = redis.register_script(script("check_log"))

    def read(self, after: str, *, max_events: int, block_ms: int | None = None) -> list[Entry]:
        """The entries after a position, in order: whole ones up to ``max_events`` events or 4 MB, at least one.

        Args:
            after: position to read after.
            max_events: the entry that reaches this number is the last one.
            block_ms: how long to wait for a first entry; None does not wait.

        Raises:
            UnknownEntryFormat: the first of them is of a later release. A later one ends what is read before it.
            NotReplicated: too few replicas have them.
        """
        found = self._read(keys=[self._log], args=[after, max_events, MAX_BYTES_PER_READ])
        if not found and block_ms is not None:
            # XREAD wakes up; the script then takes all there is.
            if not self._redis.xread({self._log: after}, count=1, block=max(1, block_ms)):
                return []
            found = self._read(keys=[self._log], args=[after, max_events, MAX_BYTES_PER_READ])
        if found:
            wait_for_replicas_blocking(self._redis, self._keys, self._replicas)
        entries: list[Entry] = []
        for position, fields in found:
            try:
                entries.append(entry_of(position, fields))
            except UnknownEntryFormat:
                if not entries:
                    raise
                break
        return entries

    def first(self) -> str | None:
        """Position of the oldest entry that is kept."""
        found: Any = self._redis.xrange(self._log, count=1)
        return found[0][0].decode() if found else None

    def last(self) -> str | None:
        """Position of the newest entry ever appended, trimmed or not; None for a log that never had one."""
        try:
            info: Any = self._redis.xinfo_stream(self._log)
        except ResponseError as error:
            if "no such key" in str(error):
                return None
            raise
        return str(info["last-generated-id"].decode())

    def require(self, position: str) -> None:
        """See that nothing is missing between a state at ``position`` and the entries that :meth:`read` gives after it.

        Raises:
            LogLost: Redis has lost entries, or those after the position are trimmed already.
        """
        trimmed, last, there = self._check(keys=[self._log, self._keys.trimmed], args=[position])
        at, trimmed_to = parse_position(position), parse_position(trimmed.decode())
        if at < trimmed_to:
            raise LogLost(
                f"the state is at position {position}, but the log is trimmed up to {trimmed.decode()}: "
                "the checkpoints that were written since are gone or broken"
            )
        end = parse_position(last.decode())
        if end < at or not (there or at in {trimmed_to, end}):
            raise LogLost(
                f"the state is at position {position}, which the log in Redis does not hold (its last is "
                f"{last.decode()}): Redis has lost entries"
            )

    def adopt(self, position: str, applied_events: int, schema: HeldSchema) -> int:
        """Let the log go on behind a position it does not hold; what was lost stays lost.

        Args:
            position: of the state to go on from.
            applied_events: events that are part of that state.
            schema: the graph's, for a Redis that has lost it.

        Returns:
            The number of events in the log after the position.
        """
        keys = [self._log, self._keys.trimmed, self._keys.appended, self._keys.schema, self._keys.log_id]
        args: list[str | int | bytes] = [position, next_position(position), applied_events, dump_schema(schema)]
        with self._fence.transaction() as (_, pending):
            pending.add("EVAL", script("adopt_log"), len(keys), *keys, *args)
            return int(pending.run()[0])

    def skipped(self) -> dict[str, str]:
        """Positions of the entries that cannot be applied, each with the reason."""
        found: Any = self._redis.hgetall(self._keys.skipped)
        return {position.decode(): reason.decode() for position, reason in found.items()}

    def skip(self, position: str, reason: str) -> None:
        """Remember that an entry cannot be applied, for this run and for every replay of the log."""
        with self._fence.transaction() as (_, pending):
            pending.add("HSET", self._keys.skipped, position, reason)
            pending.run()

    def hold(self) -> None:
        """Keep the other variants from trimming the log until :meth:`trim_before` is called."""
        with self._fence.transaction() as (_, pending):
            pending.add("HSET", self._keys.needed, self._keys.variant, START)
            # Without a heartbeat it would hold nothing.
            pending.add("SET", self._keys.last_beat, str(time.time()))
            pending.run()

    def trim_before(self, position: str) -> int:
        """Drop the entries up to and including a position that no other variant needs either; how many went.

        A variant whose worker has been away for :data:`HELD_S` does not count, but for the default one, which writes
        the archive, and the champion, whom readers see.
        """
        keys, at = self._keys, parse_position(position)
        passed = [skipped for skipped in self.skipped() if parse_position(skipped) <= at]
        beginning, _, end = keys.of("*").last_beat.partition("*")
        names = [keys.log, keys.trimmed, keys.needed, keys.champion]
        args: list[str | int] = [keys.variant, position, next_position(position), str(time.time()), HELD_S]
        args += [DEFAULT_VARIANT, beginning, end]
        with self._fence.transaction() as (_, pending):
            pending.add("EVAL", script("trim_log"), len(names), *names, *args)
            if passed:
                pending.add("HDEL", keys.skipped, *passed)
            return int(pending.run()[0])


def entry_of(position: bytes, fields: Sequence[bytes]) -> Entry:
    """The entry; one that nobody of us can have written is an entry with a problem, and does not end the worker.

    Raises:
        UnknownEntryFormat: the entry is of a later release.
    """
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    require_known(position.decode(), named.get(b"v"))
    raw, count = named.get(b"events", b""), named.get(b"n", b"0")
    events = int(count) if count.isdigit() else 0
    at = named.get(b"at", b"")
    arrival = int(at if at.isdigit() else position.partition(b"-")[0]) / 1000
    entry = Entry(position.decode(), (), None, events, raw, arrival=arrival)
    try:
        if b"schema" in named:
            return replace(entry, schema=GraphSchema.model_validate_json(named[b"schema"]))
        if b"version" in named:
            return replace(entry, version=VersionChange.model_validate_json(named[b"version"]))
        if b"clock" in named:
            return replace(entry, clock=ClockSetting.model_validate_json(named[b"clock"]))
        return replace(entry, events=columns_of_log(raw))
    except (msgspec.MsgspecError, ValueError) as error:
        return replace(entry, problem=f"the entry cannot be read: {error}")
