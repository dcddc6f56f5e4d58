"""The variants of a graph as the API reads them: which there are, which is the champion, and the stores of each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from olad_core.errors import OladError
from service.store.cancellation import end_if_cancelled
from service.store.champion import champion_of
from service.store.keys import Keys
from service.store.presence import ask, is_there
from service.store.read_replicas import Outcome
from service.store.scripts import script
from service.store.variant_stores import VariantStores, follow
from service.store.worker_state import Counters, Overview, WorkerStateReader
from service.variant_names import DEFAULT_VARIANT

_SCANNED_AT_ONCE = 1_000
FOLLOW_S = 1.0
"""How often it is read which variants there are, and which of them can answer."""


class VariantInUse(OladError, RuntimeError):
    """A variant cannot be removed: it is the champion, or a worker has it."""


@dataclass(frozen=True)
class VariantState:
    """A variant at one moment.

    Attributes:
        name: of the variant.
        needs: position after which it needs the log.
        overview: of its worker and the log.
    """

    name: str
    needs: str
    overview: Overview


class Variants:
    """All variants of one graph. A variant is one as soon as its worker has started.

    Which one is the champion is known from the last read, and each read of the champion's predictions checks it.
    Call :meth:`run` in the background.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        open_one: makes the stores of a variant, as the champion or not.
    """

    def __init__(self, redis: Redis, keys: Keys, open_one: Callable[[Keys, bool], VariantStores]) -> None:
        self._redis = redis
        self._keys = keys
        self._forget = redis.register_script(script("forget_variant"))
        self._open_one = open_one
        self._opened: dict[tuple[str, bool], VariantStores] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._names: frozenset[str] = frozenset()
        self._answering: frozenset[str] = frozenset()
        self._champion = DEFAULT_VARIANT
        self._note: Callable[[Outcome], None] = lambda _outcome: None
        self.default = self._stores(DEFAULT_VARIANT, as_champion=True)
        """The stores of the default variant while it is the champion."""

    async def run(self) -> None:
        """Follow which variants there are, and run the stores of those that are asked, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for stores in self._opened.values():
                    tasks.create_task(follow(stores))
                tasks.create_task(self._follow())
        finally:
            self._tasks = None

    @property
    def champion(self) -> str:
        """The champion, as far as this process knows."""
        return self._champion

    @property
    def are_several(self) -> bool:
        """Whether there is more than one variant, as far as this process knows."""
        return len(self._names) > 1

    @property
    def waiting(self) -> int:
        """Requests that wait for a position or an answer of any of them."""
        return sum(stores.watermark.waiting for stores in self._opened.values())

    @property
    def followers(self) -> int:
        """Readers that follow the changes of any of them."""
        return sum(stores.changes.followers for stores in self._opened.values())

    def can_answer(self, name: str) -> bool:
        """Whether a variant serves a version and its worker was there a second ago."""
        return name in self._answering

    def note_replica_reads(self, note: Callable[[Outcome], None]) -> None:
        """Have it noted what became of each read from a replica."""
        self._note = note
        for stores in self._opened.values():
            stores.readers.note = note

    def end_streams(self) -> None:
        """Let all who follow changes end: the process stops."""
        for stores in self._opened.values():
            stores.changes.end()

    def of_champion(self) -> VariantStores:
        """What reads the champion's predictions; where it is none any more, reads raise ``ChampionMoved``."""
        return self._stores(self._champion, as_champion=True)

    def see_champion(self, name: str) -> None:
        """Take in which variant is the champion; those who follow the changes of the one before begin anew."""
        if name != self._champion:
            before = self.of_champion()
            self._champion = name
            self._names |= {name, DEFAULT_VARIANT}
            before.changes.begin_anew()

    async def all(self) -> list[VariantState]:
        """Every variant, the default one first, then by name."""
        needed = cast("dict[bytes, bytes]", await self._redis.hgetall(self._keys.needed))
        found = {name.decode(): position.decode() for name, position in needed.items()}
        self._names = frozenset(found)
        names = sorted(found, key=lambda name: (name != DEFAULT_VARIANT, name))
        return [
            VariantState(name, found[name], await WorkerStateReader(self._redis, self._keys.of(name)).overview())
            for name in names
        ]

    async def counters(self) -> dict[str, Counters]:
        """What metrics need of every variant, by name, the default one first."""
        started = cast("list[bytes]", await self._redis.hkeys(self._keys.needed))
        names = [DEFAULT_VARIANT, *sorted({name.decode() for name in started} - {DEFAULT_VARIANT})]
        return {name: await WorkerStateReader(self._redis, self._keys.of(name)).counters() for name in names}

    async def named(self, name: str) -> VariantStores | None:
        """What reads the predictions of a variant, champion or not; None where there is none of that name."""
        if name not in self._names and name != DEFAULT_VARIANT:
            if not await self._redis.hexists(self._keys.needed, name):
                return None
            self._names |= {name, DEFAULT_VARIANT}
        return self._stores(name, as_champion=False)

    async def challengers(self) -> list[str]:
        """The variants beside the champion whose workers are there now, by name."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hkeys(self._keys.needed)
            pipe.get(self._keys.champion)
            names, champion = await pipe.execute()
        others = sorted({name.decode() for name in names} - {champion_of(champion)})
        return [name for name in others if await WorkerStateReader(self._redis, self._keys.of(name)).alive()]

    async def remove(self, name: str) -> bool:
        """Delete all that Redis has of a variant, its need of the log too; False where there is none of that name.

        Checkpoints and files on the machine of its worker stay.

        Args:
            name: of a variant; not the default one, whose keys are those of the graph.

        Raises:
            VariantInUse: it is the champion, or a worker has it.
        """
        keys = self._keys.of(name)
        names = [keys.needed, keys.champion, keys.lease, keys.heartbeat, keys.worker]
        if not self._may_go(name, await self._forget(keys=names, args=[name, "1"])):
            return False
        # What is left after a failure goes with the next attempt, for which the variant is still there.
        found = [key async for key in self._redis.scan_iter(match=keys.all_own, count=_SCANNED_AT_ONCE)]
        for first in range(0, len(found), _SCANNED_AT_ONCE):
            await self._redis.unlink(*found[first : first + _SCANNED_AT_ONCE])
        self._may_go(name, await self._forget(keys=names, args=[name, "0"]))
        self._names -= {name}
        return True

    @staticmethod
    def _may_go(name: str, outcome: bytes) -> bool:
        if outcome == b"champion":
            raise VariantInUse(f"variant {name} is the champion: promote another one first")
        if outcome == b"lives":
            raise VariantInUse(f"a worker of variant {name} is there, or was in the last seconds: end it first")
        return outcome == b"gone"

    def _stores(self, name: str, *, as_champion: bool) -> VariantStores:
        opened = self._opened.get((name, as_champion))
        if opened is None:
            opened = self._opened[name, as_champion] = self._open_one(self._keys.of(name), as_champion)
            opened.readers.note = self._note
            if self._tasks is not None:
                self._tasks.create_task(follow(opened))
        return opened

    async def _follow(self) -> None:
        while True:
            # Redis may be away for a while: what is known stays, and the requests themselves report the error.
            with contextlib.suppress(RedisError, OSError):
                await self._read()
            end_if_cancelled()
            await asyncio.sleep(FOLLOW_S)

    async def _read(self) -> None:
        known = sorted(self._names)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hkeys(self._keys.needed)
            pipe.get(self._keys.champion)
            for name in known:
                keys = self._keys.of(name)
                pipe.hexists(keys.served, "version")
                ask(pipe, keys)
            names, champion, *found = await pipe.execute()
        self._names = frozenset(name.decode() for name in names)
        answers = zip(known, found[::3], found[1::3], found[2::3], strict=True)
        self._answering = frozenset(
            name
            for name, has_version, heartbeat, subscribers in answers
            if has_version and is_there(heartbeat, subscribers)
        )
        self.see_champion(champion_of(champion))
