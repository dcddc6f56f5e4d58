"""The champion: the variant that answers where a reader names none, and how another one becomes it.

Whoever reads what the champion serves checks in the same step that it still is the champion. So a reader never has
parts of two variants, and no answer of the one before comes after an answer of the one that has followed it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

from olad_core.errors import OladError
from olad_core.events import VersionChange
from service.store.entry_format import VERSIONS_FORMAT
from service.store.keys import Keys
from service.store.positions import PositionPair, parse_position
from service.store.replication import wait_for_replicas
from service.store.scripts import script
from service.variant_names import DEFAULT_VARIANT

KEPT = 1_000
"""Changes of the champion that are kept."""


class ChampionMoved(OladError, RuntimeError):
    """Another variant is the champion by now: what was to be read as the champion's must be read of that one.

    Attributes:
        champion: the variant.
    """

    def __init__(self, champion: str) -> None:
        super().__init__(f"variant {champion} is the champion now")
        self.champion = champion


class NotPromoted(OladError, RuntimeError):
    """A variant cannot be the champion now.

    Attributes:
        position: that it shows, where it is behind the champion; None for another reason.
        wanted: position that the champion shows then.
    """

    def __init__(self, reason: str, position: str | None = None, wanted: str | None = None) -> None:
        super().__init__(reason)
        self.position = position
        self.wanted = wanted


@dataclass(frozen=True)
class Promotion:
    """A change of the champion.

    Attributes:
        variant: that is the champion since then.
        before: the champion until then.
        position: that the variant showed: no reader had seen a later one.
        entry: position of the entry of the log that has recorded it.
        time: Unix time in seconds.
    """

    variant: str
    before: str
    position: str
    entry: str
    time: float


def require_champion(found: bytes | None, variant: str) -> None:
    """See that a variant is the champion.

    Args:
        found: what the key of the champion holds; None where there is none.
        variant: whose predictions were read.

    Raises:
        ChampionMoved: it is another one.
    """
    champion = champion_of(found)
    if champion != variant:
        raise ChampionMoved(champion)


def champion_of(found: bytes | None) -> str:
    """The champion, by what its key holds.

    >>> champion_of(None), champion_of(b"wide")
    ('default', 'wide')
    """
    return found.decode() if found is not None else DEFAULT_VARIANT


class ChampionStore:
    """Reads and changes which variant is the champion.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        replicas: of Redis that must know of a change before it is answered.
    """

    def __init__(self, redis: Redis, keys: Keys, replicas: int = 0) -> None:
        self._redis = redis
        self._keys = keys
        self._replicas = replicas
        self._promote = redis.register_script(script("promote"))

    async def name(self) -> str:
        """The champion now."""
        return champion_of(cast("bytes | None", await self._redis.get(self._keys.champion)))

    async def promotions(self) -> list[Promotion]:
        """The last changes of the champion, the oldest first."""
        found: Any = await self._redis.lrange(self._keys.promotions, 0, -1)
        return [_parse(text.decode()) for text in cast("list[bytes]", found)]

    async def at(self, position: PositionPair) -> str:
        """The variant that was the champion while it showed a position, as far as changes are kept."""
        promotions = await self.promotions()
        for promotion in reversed(promotions):
            if parse_position(promotion.position) <= position:
                return promotion.variant
        return promotions[0].before if promotions else await self.name()

    async def promote(self, variant: str) -> Promotion | None:
        """Make a variant the champion, in one step for all readers; None where it is the champion already.

        Raises:
            NotPromoted: its worker is away, it serves no version, or it shows an earlier position than the champion.
        """
        champion = await self.name()
        while True:
            outcome, *found = await self._try(variant, champion)
            if outcome != "moved":
                break
            champion = found[0]
        if outcome == "champion":
            return None
        if outcome == "away":
            raise NotPromoted("its worker is away: predictions would stay as they are")
        if outcome == "no-model":
            raise NotPromoted("it serves no version yet")
        position, other = found
        if outcome == "behind":
            why = f"it shows position {position}, and readers have seen {other}: answers would go back"
            raise NotPromoted(why, position, other)
        await wait_for_replicas(self._redis, self._keys, self._replicas)
        return Promotion(variant, champion, position, other, time.time())

    async def _try(self, variant: str, champion: str) -> Sequence[str]:
        keys, own = self._keys, self._keys.of(variant)
        names = [keys.champion, keys.promotions, keys.log, own.served, own.heartbeat, own.worker]
        entry = VersionChange(action="promote", variant=variant).model_dump_json()
        args: list[str | int] = [variant, champion, f"{time.time():.3f}", entry, VERSIONS_FORMAT, KEPT]
        found = cast("list[bytes]", await self._promote(keys=[*names, keys.of(champion).served], args=args))
        return [text.decode() for text in found]


def _parse(text: str) -> Promotion:
    variant, before, position, entry, seconds = text.split(" ")
    return Promotion(variant, before, position, entry, float(seconds))
