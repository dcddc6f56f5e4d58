"""Whether Redis takes writes, and how full it, the log and the worker are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from redis.asyncio import Redis

from service.store.champion import champion_of
from service.store.keys import Keys
from service.store.on_its_way import OnItsWay, OnItsWayReader
from service.store.positions import START
from service.store.presence import ask, is_there
from service.store.status import MemoryStatus

_PROBE_MS = 60_000


class ReportedGraph(BaseModel):
    """Size of the graph, as the worker reports it."""

    edges: int = 0
    classes: tuple[str, ...] = ()
    feature_width: int | None = None


class ReportedLoad(BaseModel):
    """What counts here of the worker's report: no more, for it may be of another release than this process."""

    position: str = START
    events_per_s: float = 0.0
    disk_free: int | None = None
    graph: ReportedGraph = ReportedGraph()
    memory: MemoryStatus | None = None


@dataclass(frozen=True)
class Load:
    """How full Redis, the log and the worker are.

    Attributes:
        used_memory: bytes that Redis uses.
        memory_limit: bytes that it may use; 0 where that is not known.
        behind: events in the log that predictions of the default variant or of the champion do not show yet,
            whichever are more.
        alive: whether the worker of that variant is there (:mod:`service.store.presence`).
        worker: what the worker of the default variant has reported of its load.
        on_its_way: what batches after that report may add to the graph.
    """

    used_memory: int
    memory_limit: int
    behind: int
    alive: bool
    worker: ReportedLoad
    on_its_way: OnItsWay


class HealthReader:
    """Asks Redis how it is.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._on_its_way = OnItsWayReader(redis, keys)

    async def probe_write(self) -> None:
        """Write a key that expires. Only a write finds out: a replica, a full disk and a want of replicas answer reads.

        Raises:
            RedisRefused: Redis refuses the write.
        """
        await self._redis.set(self._keys.probe, 1, px=_PROBE_MS)

    async def load(self) -> Load:
        """How full everything is now."""
        keys = self._keys
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.info("memory")
            pipe.get(keys.appended)
            pipe.get(keys.champion)
            pipe.get(keys.status)
            pipe.hget(keys.served, "applied")
            ask(pipe, keys)
            found = cast("tuple[dict[str, Any], Any, bytes | None, Any, Any, int, Any]", await pipe.execute())
        memory, appended, champion, status, applied, heartbeat, subscribers = found
        worker = _read(status)
        behind, alive = int(appended or 0) - int(applied or 0), is_there(heartbeat, subscribers)
        if champion_of(champion) != keys.variant:
            behind, alive = max((behind, alive), await self._lag(keys.of(champion_of(champion)), int(appended or 0)))
        return Load(
            used_memory=int(memory["used_memory"]),
            memory_limit=int(memory.get("maxmemory") or memory.get("total_system_memory") or 0),
            behind=behind,
            alive=alive,
            worker=worker,
            on_its_way=await self._on_its_way.after(worker.position),
        )

    async def _lag(self, keys: Keys, appended: int) -> tuple[int, bool]:
        """Events that a variant does not show yet, and whether its worker is there."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hget(keys.served, "applied")
            ask(pipe, keys)
            applied, *there = await pipe.execute()
        return appended - int(applied or 0), is_there(*there)


def _read(status: bytes | None) -> ReportedLoad:
    try:
        return ReportedLoad.model_validate_json(status or b"{}")
    except ValidationError:
        return ReportedLoad()
