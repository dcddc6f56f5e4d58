"""The log of a graph: one Redis stream, appended to by the API and read in order by the worker.

A batch is one entry and the entry's id is the graph's *position*. See ``docs/decisions/0004-redis-layout.md``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ResponseError

from olad_core.events import Event, GraphSchema, InvalidEvents, decode_log, encode_log
from service.keys import Keys
from service.schema import HeldSchema, SchemaConflict, changed, dump_schema, held_by, parse_schema
from service.scripts import script

START = "0-0"
"""The position before the first entry."""
IDEMPOTENCY_SECONDS = 24 * 3600
"""How long an Idempotency-Key is remembered."""

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
    """One log entry: a batch of events, or a declaration of the schema."""

    position: str
    events: Sequence[Event]
    schema: GraphSchema | None = None


class LogReader:
    """The worker's side of the log. The client must return bytes and time out later than a blocking read."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._log = keys.log
        self._read = redis.register_script(script("read_log"))

    def read(self, after: str, *, max_events: int, block_ms: int | None = None) -> list[Entry]:
        """The entries after a position, in order; whole entries until they hold ``max_events`` events.

        Args:
            after: position to read after.
            max_events: the entry that reaches this number is the last one.
            block_ms: how long to wait for a first entry; None does not wait.
        """
        found = self._read(keys=[self._log], args=[after, max_events])
        if not found and block_ms is not None:
            # XREAD wakes up; the script then takes all there is.
            if not self._redis.xread({self._log: after}, count=1, block=max(1, block_ms)):
                return []
            found = self._read(keys=[self._log], args=[after, max_events])
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

    def trim_before(self, position: str) -> int:
        """Drop the entries up to and including a position; how many went."""
        milliseconds, sequence = parse_position(position)
        removed: Any = self._redis.xtrim(self._log, minid=f"{milliseconds}-{sequence + 1}", approximate=False)
        return int(removed)


def _entry(position: bytes, fields: Sequence[bytes]) -> Entry:
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    if b"schema" in named:
        return Entry(position.decode(), (), GraphSchema.model_validate_json(named[b"schema"]))
    return Entry(position.decode(), decode_log(named[b"events"]))


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
    that is no longer the same, so a stale cache costs one more turn and never a wrong entry.
    """

    def __init__(self, redis: AsyncRedis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._append = redis.register_script(script("append"))
        self._declare = redis.register_script(script("declare"))
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
        self, body: bytes, decode: Callable[[bytes, int | None], list[Event]], idempotency_key: bytes | None
    ) -> Appended:
        """Append a batch as one entry, checked against the schema of that very moment.

        Args:
            body: the batch as sent.
            decode: makes checked events of the body, given the feature width where it is known.
            idempotency_key: a batch with a key that is known answers with its position and is not appended again.

        Raises:
            InvalidEvents: naming what is wrong.
            KeyReused: where the key belongs to another body.
        """
        keys = [self._keys.log, self._keys.schema, self._keys.appended]
        digest = ""
        if idempotency_key is not None:
            keys.append(self._keys.idempotency(hashlib.sha256(idempotency_key).hexdigest()))
            digest = hashlib.blake2b(body, digest_size=16).hexdigest()
        while True:
            stored, schema = self._stored, self._schema
            try:
                batch = decode(body, schema.feature_width)
            except InvalidEvents:
                if await self.schema() == schema:
                    raise
                continue
            after = held_by(schema, batch)
            new = b"" if after is schema else dump_schema(after)
            args: list[bytes | str | int] = [encode_log(batch), len(batch), stored, new, digest, IDEMPOTENCY_SECONDS]
            outcome, value = await self._append(keys=keys, args=args)
            if outcome == b"stale":
                self._remember(value)
            elif outcome == b"reused":
                raise KeyReused(value.decode())
            else:
                if new and outcome == b"appended":
                    self._remember(new)
                return Appended(value.decode(), len(batch), replayed=outcome == b"replayed")

    async def declare(self, change: GraphSchema) -> HeldSchema:
        """Change the schema and append the change to the log; nothing happens where nothing changes.

        Raises:
            SchemaConflict: where another width is held, or ``directed`` changes after the first event.
        """
        await self.schema()
        while True:
            stored, schema = self._stored, self._schema
            after = changed(schema, change)
            if after == schema:
                return schema
            new = dump_schema(after)
            flips = "1" if after.directed != schema.directed else "0"
            outcome, *rest = await self._declare(
                keys=[self._keys.log, self._keys.schema, self._keys.appended],
                args=[stored, new, after.declared().model_dump_json(), flips],
            )
            if outcome == b"directed":
                now = "directed" if schema.directed else "undirected"
                raise SchemaConflict(f"directed cannot change after the first event: the graph is {now}")
            self._remember(rest[0] if outcome == b"stale" else new)
            if outcome == b"declared":
                return after
