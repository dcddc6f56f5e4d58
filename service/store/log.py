"""The log of a graph: one Redis stream, appended to by the API and read in order by the worker.

A batch is one entry and the entry's id is the graph's *position*. See ``docs/decisions/0004-redis-layout.md``.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ResponseError

from olad_core.config import MAX_CLASSES
from olad_core.event_pieces import log_pieces
from olad_core.events import ClockSetting, Event, GraphSchema, InvalidEvents, decode_log, decode_log_for_people
from olad_core.schema import (
    HeldSchema,
    SchemaConflict,
    TooManyClasses,
    after_declaration,
    after_events,
    labels_in,
)
from service.slices import in_slices
from service.store.fence import Fence, LogLost
from service.store.keys import Keys
from service.store.schema import dump_schema, parse_schema
from service.store.scripts import script

START = "0-0"
"""The position before the first entry."""
IDEMPOTENCY_SECONDS = 24 * 3600
"""How long an Idempotency-Key is remembered."""
IDEMPOTENCY_KEPT = 100_000
"""Idempotency-Keys of one client that are remembered at most: the latest, some 40 MB of Redis's memory."""
_HASHED_AT_ONCE = 2**20

MAX_BYTES_PER_READ = 4_000_000
"""What the worker reads at once of the log, but for a single entry that is larger: Redis answers nobody meanwhile."""

PositionPair: TypeAlias = tuple[int, int]
_POSITION = re.compile(r"(?a:(\d{1,20})(?:-(\d{1,20}))?)")


def parse_position(text: str) -> PositionPair:
    """A position as a pair that compares in log order; a time alone means the first entry of that millisecond.

    >>> parse_position("1700000000000-3") < parse_position("1700000000000-10")
    True
    >>> parse_position("1700000000000")
    (1700000000000, 0)

    Raises:
        ValueError: where the text is no position.
    """
    match = _POSITION.fullmatch(text)
    pair = (int(match[1]), int(match[2] or 0)) if match else (-1, 0)
    if not 0 <= pair[0] < 2**64 or pair[1] >= 2**64:
        raise ValueError(f"{text!r} is no position: milliseconds, or milliseconds-sequence as POST /events answers")
    return pair


@dataclass(frozen=True)
class Entry:
    """One log entry: a batch of events, a declaration of the schema, or a setting of the clock.

    Attributes:
        position: its id.
        events: what it holds.
        schema: the declaration; None for other entries.
        count: events it was counted with when it was appended.
        raw: the batch in MessagePack, as it stands in the log.
        problem: why it cannot be read; empty where it can.
        arrival: seconds at which it came. Unlike positions that goes back where Redis's clock does.
        clock: what to set the graph's clock to; None for other entries.
    """

    position: str
    events: Sequence[Event]
    schema: GraphSchema | None = None
    count: int = 0
    raw: bytes = b""
    problem: str = ""
    arrival: float = field(default=0.0, compare=False)
    clock: ClockSetting | None = None

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
    """

    def __init__(self, redis: Redis, keys: Keys, fence: Fence | None = None) -> None:
        self._redis = redis
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
        """
        found = self._read(keys=[self._log], args=[after, max_events, MAX_BYTES_PER_READ])
        if not found and block_ms is not None:
            # XREAD wakes up; the script then takes all there is.
            if not self._redis.xread({self._log: after}, count=1, block=max(1, block_ms)):
                return []
            found = self._read(keys=[self._log], args=[after, max_events, MAX_BYTES_PER_READ])
        return [_entry(position, fields) for position, fields in found]

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
        args: list[str | int | bytes] = [position, _next(position), applied_events, dump_schema(schema)]
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

    def trim_before(self, position: str) -> int:
        """Drop the entries up to and including a position, and remember that; how many went."""
        at = parse_position(position)
        passed = [skipped for skipped in self.skipped() if parse_position(skipped) <= at]
        with self._fence.transaction(reads=(("GET", self._keys.trimmed),)) as ((known,), pending):
            pending.add("XTRIM", self._log, "MINID", _next(position))
            if known is None or parse_position(known.decode()) < at:
                pending.add("SET", self._keys.trimmed, position)
            if passed:
                pending.add("HDEL", self._keys.skipped, *passed)
            return int(pending.run()[0])


def _next(position: str) -> str:
    milliseconds, sequence = parse_position(position)
    return f"{milliseconds}-{sequence + 1}"


def _entry(position: bytes, fields: Sequence[bytes]) -> Entry:
    """The entry; one that nobody of us can have written is an entry with a problem, and does not end the worker."""
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    raw, count = named.get(b"events", b""), named.get(b"n", b"0")
    events = int(count) if count.isdigit() else 0
    at = named.get(b"at", b"")
    arrival = int(at if at.isdigit() else position.partition(b"-")[0]) / 1000
    entry = Entry(position.decode(), (), None, events, raw, arrival=arrival)
    try:
        if b"schema" in named:
            return replace(entry, schema=GraphSchema.model_validate_json(named[b"schema"]))
        if b"clock" in named:
            return replace(entry, clock=ClockSetting.model_validate_json(named[b"clock"]))
        return replace(entry, events=decode_log(raw))
    except (msgspec.MsgspecError, ValueError) as error:
        return replace(entry, problem=f"the entry cannot be read: {error}")


@dataclass(frozen=True)
class Appended:
    """Where a batch stands in the log, and whether it stood there before."""

    position: str
    accepted: int
    replayed: bool


class KeyReused(ValueError):
    """An Idempotency-Key that was used for another body."""

    def __init__(self, position: str) -> None:
        super().__init__(f"the key belongs to another body, which stands at position {position}")
        self.position = position


class EventLog:
    """The API's side of the log: appends batches, keeps the schema.

    The schema is cached. Every script compares what it was given with what Redis holds and refuses when
    that is no longer the same, so a stale cache costs one more turn and never a wrong entry. Classes that Redis
    knows are cached too: a batch that names no other is not asked about.

    Args:
        redis: where the log is.
        keys: of the graph.
        max_classes: classes that may be declared or named by labels.
    """

    def __init__(self, redis: AsyncRedis, keys: Keys, max_classes: int = MAX_CLASSES) -> None:
        self._redis = redis
        self._keys = keys
        self._append = redis.register_script(script("append"))
        self._declare = redis.register_script(script("declare"))
        self._set_clock = redis.register_script(script("set_clock"))
        self._log_id = redis.register_script(script("log_id"))
        self._max_classes = max_classes
        self._known_classes: set[str] = set()
        self._remember(b"")

    def _remember(self, stored: bytes) -> None:
        self._stored, self._schema = stored, parse_schema(stored)

    async def schema(self) -> HeldSchema:
        """The schema as Redis holds it now."""
        stored = cast("bytes | None", await self._redis.get(self._keys.schema)) or b""
        if stored != self._stored:
            self._remember(stored)
        return self._schema

    async def append(
        self,
        body: bytes,
        decode: Callable[[bytes, int | None], Awaitable[list[Event]]],
        idempotency_key: bytes | None,
        client: str = "",
        admit: Callable[[Sequence[Event], int], None] | None = None,
    ) -> Appended:
        """Append a batch as one entry, checked against the schema of that very moment.

        Args:
            body: the batch as sent.
            decode: makes checked events of the body, given the feature width where it is known.
            idempotency_key: a batch with a key that is known answers with its position and is not appended again.
            client: whose key it is: the same key of another client is another one.
            admit: raises where the batch, with so many classes in the graph at least, must not enter the log.

        Raises:
            InvalidEvents: naming what is wrong.
            KeyReused: where the key belongs to another body.
            TooManyClasses: where a label would be a class more than there may be.
        """
        keys = [self._keys.log, self._keys.schema, self._keys.appended, self._keys.classes]
        digest = ""
        if idempotency_key is not None:
            name = hashlib.sha256(idempotency_key).hexdigest()
            keys.append(self._keys.idempotency(f"{client}.{name}" if client else name))
            keys.append(self._keys.idempotency_order(client))
            digest = await _digest(body)
        while True:
            stored, schema = self._stored, self._schema
            try:
                batch = await decode(body, schema.feature_width)
            except InvalidEvents:
                if await self.schema() == schema:
                    raise
                continue
            after = after_events(schema, batch)
            labels = [label for label in labels_in(batch) if label not in self._known_classes]
            if admit is not None:
                admit(batch, len(self._known_classes) + len(labels))
            new = b"" if after is schema else dump_schema(after)
            payload = await in_slices(log_pieces(batch))
            args: list[bytes | str | int] = [payload, len(batch), stored, new, digest]
            args += [IDEMPOTENCY_SECONDS, IDEMPOTENCY_KEPT, self._keys.idempotency("")]
            args += [self._max_classes, *labels]
            outcome, value = await self._append(keys=keys, args=args)
            if outcome == b"stale":
                self._remember(value)
            elif outcome == b"reused":
                raise KeyReused(value.decode())
            elif outcome == b"classes":
                raise TooManyClasses(value.decode(), self._max_classes)
            else:
                if outcome == b"appended":
                    self._known_classes.update(labels)
                if new and outcome == b"appended":
                    self._remember(new)
                return Appended(value.decode(), len(batch), replayed=outcome == b"replayed")

    async def declare(self, change: GraphSchema) -> HeldSchema:
        """Change the schema and append the change to the log; nothing happens where nothing changes.

        Raises:
            SchemaConflict: where another width is held, or ``directed`` changes after the first event.
            TooManyClasses: where there would be more classes than there may be.
        """
        await self.schema()
        while True:
            stored, schema = self._stored, self._schema
            after = after_declaration(schema, change, self._max_classes)
            if after == schema:
                return schema
            new = dump_schema(after)
            flips = "1" if after.directed != schema.directed else "0"
            outcome, *rest = await self._declare(
                keys=[self._keys.log, self._keys.schema, self._keys.appended, self._keys.classes],
                args=[stored, new, after.declared().model_dump_json(), flips, self._max_classes, *after.classes],
            )
            if outcome == b"classes":
                raise TooManyClasses(rest[0].decode(), self._max_classes)
            if outcome == b"directed":
                now = "directed" if schema.directed else "undirected"
                raise SchemaConflict(f"directed cannot change after the first event: the graph is {now}")
            self._remember(rest[0] if outcome == b"stale" else new)
            if outcome == b"declared":
                return after

    async def set_clock(self, setting: ClockSetting) -> str:
        """Append a setting of the graph's clock; its position."""
        position = await self._set_clock(keys=[self._keys.log], args=[setting.model_dump_json()])
        return str(position.decode())

    async def identity(self) -> str | None:
        """A random name that this log has and no other; None where there is none yet and Redis cannot keep one now."""
        try:
            found = await self._log_id(keys=[self._keys.log_id], args=[secrets.token_hex(16)])
        except ResponseError:
            found = cast("bytes | None", await self._redis.get(self._keys.log_id))
        return found.decode() if found is not None else None


async def _digest(body: bytes) -> str:
    """Of a large body in a thread: hashing lets others run meanwhile."""
    if len(body) <= _HASHED_AT_ONCE:
        return hashlib.blake2b(body, digest_size=16).hexdigest()
    return (await asyncio.to_thread(hashlib.blake2b, body, digest_size=16)).hexdigest()
