"""What the API reads of the worker and of the log's size: each read is of one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.store.champion import champion_of, require_champion
from service.store.keys import Keys
from service.store.presence import ask, is_there
from service.store.status import WorkerStatus, read_report


@dataclass(frozen=True)
class Overview:
    """Log and worker at one moment.

    Attributes:
        position: that readers see; None before the first publication.
        last: position of the newest entry of the log; None where there never was one.
        entries: kept in the log.
        appended: events ever appended.
        behind: of these the ones that predictions do not show yet.
        alive: whether the worker is there (:mod:`service.store.presence`).
        report: the worker's last one; None before the first.
        log_id: identity of the log; None where it has none yet.
        champion: the variant that answers where a reader names none.
    """

    position: str | None
    last: str | None
    entries: int
    appended: int
    behind: int
    alive: bool
    report: WorkerStatus | None
    log_id: str | None
    champion: str


@dataclass(frozen=True)
class Counters:
    """Log and worker at one moment, as metrics need them.

    Attributes:
        entries: kept in the log.
        appended: events ever appended.
        behind: of these the ones that predictions do not show yet.
        alive: whether the worker is there (:mod:`service.store.presence`).
        last_beat: Unix time of the worker's last heartbeat; None where there was none.
        metrics: the worker's own, in Prometheus' text format; empty while it is away.
    """

    entries: int
    appended: int
    behind: int
    alive: bool
    last_beat: float | None
    metrics: bytes


class WorkerStateReader:
    """Reads the worker's report, its heartbeat and its metrics, and the counters beside them.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        as_champion: whether the variant must be the champion; reports are read with a check, in the same step.
    """

    def __init__(self, redis: Redis, keys: Keys, *, as_champion: bool = False) -> None:
        self._redis = redis
        self._keys = keys
        self._as_champion = as_champion

    async def report(self) -> WorkerStatus | None:
        """The worker's last report; None while none has ever reported.

        Raises:
            ChampionMoved: another variant is the champion.
        """
        found: Any = await self._redis.mget(self._keys.status, self._keys.champion)
        report, champion = cast("list[bytes | None]", found)
        self._require(champion)
        return read_report(report)

    async def alive(self) -> bool:
        """Whether the worker is there."""
        async with self._redis.pipeline(transaction=False) as pipe:
            ask(pipe, self._keys)
            return is_there(*await pipe.execute())

    async def counters(self) -> Counters:
        """What metrics need."""
        keys = self._keys
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.metrics)
            pipe.xlen(keys.log)
            pipe.get(keys.appended)
            pipe.hget(keys.served, "applied")
            ask(pipe, keys)
            pipe.get(keys.last_beat)
            metrics, entries, appended, applied, heartbeat, subscribers, last_beat = await pipe.execute()
        alive = is_there(heartbeat, subscribers)
        return Counters(
            entries=entries,
            appended=int(appended or 0),
            behind=_behind(appended, applied),
            alive=alive,
            last_beat=float(last_beat) if last_beat is not None else None,
            metrics=metrics if alive and metrics else b"",
        )

    async def overview(self) -> Overview:
        """Everything at one glance.

        Raises:
            ChampionMoved: another variant is the champion.
        """
        keys = self._keys
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xinfo_stream(keys.log)
            pipe.get(keys.appended)
            pipe.hmget(keys.served, ["position", "applied"])
            ask(pipe, keys)
            pipe.get(keys.status)
            pipe.mget(keys.log_id, keys.champion)
            info, *others = await pipe.execute(raise_on_error=False)
        for refused in (answer for answer in (info, *others) if isinstance(answer, RedisError)):
            if refused is not info or "no such key" not in str(info):
                raise refused
            # The log's key comes with its first entry.
            info = {"last-generated-id": None, "length": 0}
        appended, (position, applied), heartbeat, subscribers, report, (log_id, champion) = others
        self._require(champion)
        return Overview(
            position=_text(position),
            last=_text(info["last-generated-id"]),
            entries=info["length"],
            appended=int(appended or 0),
            behind=_behind(appended, applied),
            alive=is_there(heartbeat, subscribers),
            report=read_report(report),
            log_id=_text(log_id),
            champion=champion_of(champion),
        )

    def _require(self, champion: bytes | None) -> None:
        if self._as_champion:
            require_champion(champion, self._keys.variant)


def _behind(appended: Any, applied: Any) -> int:
    return max(0, int(appended or 0) - int(applied or 0))


def _text(value: bytes | None) -> str | None:
    return value.decode() if value is not None else None
