"""The API's side of the log: it appends batches and declarations, and keeps the schema.

A batch is one entry and the entry's id is the graph's *position*. See ``docs/decisions/0004-redis-layout.md``.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from olad_core.config import MAX_CLASSES
from olad_core.errors import OladError
from olad_core.event_pieces import log_pieces
from olad_core.events import ClockSetting, Event, GraphSchema, InvalidEvents, VersionChange
from olad_core.graph_types import RELATION
from olad_core.memory_use import Sizes
from olad_core.schema import (
    HeldSchema,
    SchemaConflict,
    TooManyClasses,
    after_declaration,
    after_events,
    directions,
    labels_in,
    schema_json,
)
from service.slices import in_slices
from service.store.entry_format import FIRST_FORMAT, VERSIONS_FORMAT, format_under
from service.store.keys import Keys
from service.store.on_its_way import sizes_text
from service.store.replication import wait_for_replicas
from service.store.schema import dump_schema, parse_schema
from service.store.scripts import script

IDEMPOTENCY_SECONDS = 24 * 3600
"""How long an Idempotency-Key is remembered."""
IDEMPOTENCY_KEPT = 100_000
"""Idempotency-Keys of one client that are remembered at most: the latest, some 40 MB of Redis's memory."""
_HASHED_AT_ONCE = 2**20


@dataclass(frozen=True)
class Appended:
    """Where a batch stands in the log, and whether it stood there before."""

    position: str
    accepted: int
    replayed: bool


class KeyReused(OladError, ValueError):
    """An Idempotency-Key that was used for another body."""

    def __init__(self, position: str) -> None:
        super().__init__(f"the key belongs to another body, which stands at position {position}")
        self.position = position


class LogWriter:
    """Appends batches and declarations, and keeps the schema.

    The schema is cached. Every script compares what it was given with what Redis holds and refuses when
    that is no longer the same, so a stale cache costs one more turn and never a wrong entry. Classes that Redis
    knows are cached too: a batch that names no other is not asked about.

    Args:
        redis: where the log is.
        keys: of the graph.
        max_classes: classes that may be declared or named by labels.
        replicas: that must have an entry before its position is returned.
    """

    def __init__(self, redis: Redis, keys: Keys, max_classes: int = MAX_CLASSES, replicas: int = 0) -> None:
        self._redis = redis
        self._keys = keys
        self._replicas = replicas
        self._append = redis.register_script(script("append"))
        self._declare = redis.register_script(script("declare"))
        self._set_clock = redis.register_script(script("set_clock"))
        self._change = redis.register_script(script("append_change"))
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

    async def has_classes(self) -> bool:
        """Whether a class of nodes is declared, or named by a label in the log."""
        return bool(await self._redis.exists(self._keys.classes)) or bool((await self.schema()).classes)

    async def append(
        self,
        body: bytes,
        decode: Callable[[bytes, HeldSchema], Awaitable[list[Event]]],
        idempotency_key: bytes | None,
        client: str = "",
        admit: Callable[[Sequence[Event], int], Sizes] | None = None,
    ) -> Appended:
        """Append a batch as one entry, checked against the schema of that very moment.

        Args:
            body: the batch as sent.
            decode: makes checked events of the body, given the schema.
            idempotency_key: a batch with a key that is known answers with its position and is not appended again.
            client: whose key it is: the same key of another client is another one.
            admit: what the batch may add to the graph; raises where it, with so many classes in the graph at least,
                must not enter the log.

        Raises:
            InvalidEvents: naming what is wrong.
            KeyReused: where the key belongs to another body.
            TooManyClasses: where a label would be a class more than there may be.
            NotReplicated: where too few replicas have the entry in time, which stands in the primary's log.
        """
        keys = [self._keys.log, self._keys.schema, self._keys.appended, self._keys.classes, self._keys.admitted]
        digest = ""
        if idempotency_key is not None:
            keys.append(self._remembered_under(idempotency_key, client))
            keys.append(self._keys.idempotency_order(client))
            digest = await _digest(body)
        while True:
            stored, schema = self._stored, self._schema
            try:
                batch = await decode(body, schema)
            except InvalidEvents:
                if await self.schema() == schema:
                    raise
                continue
            after = after_events(schema, batch)
            labels = [label for label in labels_in(batch) if label not in self._known_classes]
            sizes = admit(batch, len(self._known_classes) + len(labels)) if admit is not None else Sizes()
            new = b"" if after is schema else dump_schema(after)
            payload = await in_slices(log_pieces(batch))
            args: list[bytes | str | int] = [payload, len(batch), stored, new, digest]
            args += [IDEMPOTENCY_SECONDS, IDEMPOTENCY_KEPT, self._keys.idempotency("")]
            args += [self._max_classes, format_under(after), sizes_text(sizes), *labels]
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
                # Of a batch that stood there before too: its first answer may have been that it is not replicated.
                await self._replicated()
                return Appended(value.decode(), len(batch), replayed=outcome == b"replayed")

    def _remembered_under(self, idempotency_key: bytes, client: str) -> str:
        """Redis's key of an Idempotency-Key of one client."""
        name = hashlib.sha256(idempotency_key).hexdigest()
        return self._keys.idempotency(f"{client}.{name}" if client else name)

    async def _replicated(self) -> None:
        await wait_for_replicas(self._redis, self._keys, self._replicas)

    async def declare(self, change: GraphSchema) -> HeldSchema:
        """Change the schema and append the change to the log; nothing happens where nothing changes.

        Raises:
            SchemaConflict: where another width is held, or ``directed`` or ids change after the first event.
            TooManyClasses: where there would be more classes than there may be.
        """
        await self.schema()
        while True:
            stored, schema = self._stored, self._schema
            after = after_declaration(schema, change, self._max_classes)
            if after == schema:
                return schema
            new = dump_schema(after)
            turned = _turned(schema, after)
            outcome, *rest = await self._declare(
                keys=[self._keys.log, self._keys.schema, self._keys.appended, self._keys.classes],
                args=[
                    stored,
                    new,
                    schema_json(after.declared()),
                    "0" if turned is None else "1",
                    self._max_classes,
                    format_under(after),
                    *after.classes,
                ],
            )
            if outcome == b"classes":
                raise TooManyClasses(rest[0].decode(), self._max_classes)
            if outcome == b"directed":
                raise SchemaConflict(turned or "directed cannot change after the first event")
            self._remember(rest[0] if outcome == b"stale" else new)
            if outcome == b"declared":
                await self._replicated()
                return after

    async def set_clock(self, setting: ClockSetting) -> str:
        """Append a setting of the graph's clock; its position."""
        position = await self._set_clock(keys=[self._keys.log], args=[setting.model_dump_json(), FIRST_FORMAT])
        await self._replicated()
        return str(position.decode())

    async def change_version(self, change: VersionChange, idempotency_key: bytes | None, client: str = "") -> Appended:
        """Append a change of the served version.

        Args:
            change: what is asked for.
            idempotency_key: appended once with it.
            client: whose key it is.

        Raises:
            KeyReused: the key was used for something else.
        """
        body = change.model_dump_json(exclude={"variant"} if change.variant is None else None)
        digest = await _digest(body.encode())
        keys = [self._keys.log]
        if idempotency_key is not None:
            keys.append(self._remembered_under(idempotency_key, client))
        outcome, value = await self._change(keys=keys, args=[body, VERSIONS_FORMAT, digest, IDEMPOTENCY_SECONDS])
        if outcome == b"reused":
            raise KeyReused(value.decode())
        await self._replicated()
        return Appended(value.decode(), 0, replayed=outcome == b"replayed")

    async def identity(self) -> str | None:
        """A random name that this log has and no other; None where there is none yet and Redis cannot keep one now."""
        try:
            found = await self._log_id(keys=[self._keys.log_id], args=[secrets.token_hex(16)])
        except ResponseError:
            found = cast("bytes | None", await self._redis.get(self._keys.log_id))
        return found.decode() if found is not None else None


def _turned(before: HeldSchema, after: HeldSchema) -> str | None:
    """What would change that a graph with events keeps: a direction, or ids of edges without a type, or None."""
    directed = directions(after)
    for name, way in directions(before).items():
        if directed[name] != way:
            what = "the graph is" if name == RELATION and not before.edge_types else f"edges of the type {name!r} are"
            return f"directed cannot change after the first event: {what} {'directed' if way else 'undirected'}"
    unnamed = after.edge_types.get(RELATION)
    if unnamed is not None and unnamed.has_table and RELATION not in before.edge_types:
        what = "ids" if unnamed.ids else "feature_width"
        return f"{what} cannot change after the first event: edges that name no type have none"
    return None


async def _digest(body: bytes) -> str:
    """Of a large body in a thread: hashing lets others run meanwhile."""
    if len(body) <= _HASHED_AT_ONCE:
        return hashlib.blake2b(body, digest_size=16).hexdigest()
    return (await asyncio.to_thread(hashlib.blake2b, body, digest_size=16)).hexdigest()
