"""Reading predictions from replicas of Redis, where that gives the answer that the primary would have given lately.

A replica holds a state that the primary had: a publication is one transaction, so rows and position belong together.
What a replica cannot know is asked of the primary: whether the worker is there, and how long the log is by now.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.store.champion import ChampionMoved
from service.store.keys import Keys
from service.store.positions import START, PositionPair, parse_position
from service.store.prediction_reader import Model, PredictionReader, Snapshot

Outcome: TypeAlias = Literal["served", "marked", "behind", "unavailable"]
"""What became of a read from a replica: all but the first are read from the primary instead."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
_Read: TypeAlias = Callable[[PredictionReader], Awaitable[Snapshot]]
FOLLOW_S = 0.25
"""How often the primary is asked what it shows. A replica that is more than two such times behind is not used."""
_ANSWERS_WITHIN_S = 1.0
_AGAIN_AFTER_S = 2.0
"""For so long a replica is left alone that did not answer."""
_UNTIL_CAUGHT_UP_S = 0.05
"""How long a read waits for a replica to show a position that the primary shows."""
_STEP_S = 0.005


@dataclass
class _Replica:
    """A replica and when it may be asked again."""

    reader: PredictionReader
    from_s: float = float("-inf")


class ReadReplicas:
    """The predictions of nodes: from a replica where there is one that may answer, else from the primary.

    Rows that are marked are read from the primary, since they are requested there. Call :meth:`follow` in the
    background.

    Args:
        redis: client of the primary.
        keys: of the graph.
        primary: its reader.
        replicas: clients of the replicas; none reads everything from the primary.
        as_champion: as of :class:`PredictionReader`. A replica that knows of another champion is not used.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        primary: PredictionReader,
        replicas: Sequence[Redis],
        *,
        as_champion: bool = False,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._primary = primary
        self._replicas = [
            _Replica(PredictionReader(one, keys, self._known_appended, as_champion=as_champion)) for one in replicas
        ]
        self._next = 0
        self._appended = 0
        self._shown = self._shown_before = parse_position(START)
        self.note: Callable[[Outcome], None] = lambda _outcome: None
        """Called after each read from a replica."""

    @property
    def model(self) -> Model | None:
        """The model of the last reads; None before the first."""
        return next((found for one in self._replicas if (found := one.reader.model)), self._primary.model)

    async def follow(self) -> None:
        """Ask the primary what it shows, until cancelled; returns at once where there are no replicas."""
        while self._replicas:
            with contextlib.suppress(RedisError, OSError):
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.hget(self._keys.served, "position")
                    pipe.get(self._keys.appended)
                    position, appended = await pipe.execute()
                self._shown_before, self._shown = self._shown, parse_position((position or START.encode()).decode())
                self._appended = int(appended or 0)
            await asyncio.sleep(FOLLOW_S)

    async def read(self, nodes: Sequence[str], most_bytes: int = 0, least: PositionPair | None = None) -> Snapshot:
        """The predictions of nodes, all of one moment.

        Args:
            nodes: their ids.
            most_bytes: of all their rows; 0 does not limit.
            least: position that the primary shows: a replica that does not is waited for, for a moment.

        Raises:
            RowsTooLarge: the rows have more bytes.
        """
        return await self._read(lambda reader: reader.read(nodes, most_bytes), least)

    async def read_one(self, node: str, least: PositionPair | None = None) -> Snapshot:
        """The prediction of one node; arguments are those of :meth:`read`."""
        if not self._replicas:
            return await self._primary.read_one(node)
        return await self._read(lambda reader: reader.read_one(node), least)

    async def shows(self, position: PositionPair) -> bool:
        """Whether a replica shows a position now; then the primary need not be asked."""
        found = await self._from_replica(lambda reader: reader.read(()), None)
        return found is not None and parse_position(found.visible.position) >= position

    async def _read(self, read: _Read, least: PositionPair | None) -> Snapshot:
        found = await self._from_replica(read, least)
        if found is not None and not found.marked:
            return found
        try:
            return await read(self._primary)
        except (RedisError, OSError):
            # Marked rows name their own positions, and nobody can renew them now.
            if found is None:
                raise
            return found

    def _known_appended(self) -> int:
        return self._appended

    def _choose(self, now: float) -> _Replica | None:
        """The next replica that may be asked."""
        for step in range(len(self._replicas)):
            replica = self._replicas[(self._next + step) % len(self._replicas)]
            if replica.from_s <= now:
                self._next = (self._next + step + 1) % len(self._replicas)
                return replica
        return None

    async def _from_replica(self, read: _Read, least: PositionPair | None) -> Snapshot | None:
        """What a replica answers; None where it may not answer."""
        loop = asyncio.get_running_loop()
        replica = self._choose(loop.time()) if self._replicas else None
        if replica is None:
            return None
        until = loop.time() + _UNTIL_CAUGHT_UP_S
        try:
            while True:
                async with asyncio.timeout(_ANSWERS_WITHIN_S):
                    found = await read(replica.reader)
                visible = parse_position(found.visible.position)
                if found.model is None or visible < self._shown_before:
                    replica.from_s = loop.time() + FOLLOW_S
                    return self.note("behind")
                if least is None or visible >= least:
                    break
                if loop.time() >= until:
                    return self.note("behind")
                await asyncio.sleep(_STEP_S)
        except ChampionMoved:
            # The primary knows which one it is.
            return self.note("behind")
        except (RedisError, OSError):
            replica.from_s = loop.time() + _AGAIN_AFTER_S
            return self.note("unavailable")
        self.note("marked" if found.marked else "served")
        return found
