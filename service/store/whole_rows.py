"""The API's side of whole rows: with many classes a table holds short rows, and the worker makes whole ones.

A reader requests them with an entry of its own in the requests, and takes them from a key of that entry once it is
answered. See ``docs/decisions/0031-short-rows.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import msgspec
from redis.asyncio import Redis

from service.store.champion import require_champion
from service.store.keys import Keys
from service.store.positions import PositionPair, parse_position
from service.store.presence import ask, is_there
from service.store.request_writer import ENTRIES_KEPT, NODES_PER_ENTRY

_CELLS_PER_ENTRY = 100_000
"""Probabilities that one entry asks for at most: the worker does other things between two."""


class WholeRows(NamedTuple):
    """What one request was answered with.

    Attributes:
        rows: node id to its whole row; a node that was not in the graph is not there.
        appended: events in the log when they were read.
    """

    rows: dict[str, bytes]
    appended: int


class WholeRowStore:
    """Requests whole rows and takes them.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        as_champion: whether the variant must be the champion when its rows are taken.
    """

    def __init__(self, redis: Redis, keys: Keys, *, as_champion: bool = False) -> None:
        self._redis = redis
        self._keys = keys
        self._as_champion = as_champion

    async def request(self, nodes: Sequence[str], classes: int, timeout_ms: int) -> list[str]:
        """Ask for whole rows.

        Args:
            nodes: their ids, each once, one at least.
            classes: of the version.
            timeout_ms: how long the reader will wait at most.

        Returns:
            The ids of the entries, which are answered in this order; none where the worker is not there.

        Raises:
            RedisError: where Redis refuses, or cannot be reached.
            OSError: where it cannot be reached.
        """
        presence = self._redis.pipeline(transaction=False)
        ask(presence, self._keys)
        if not is_there(*await presence.execute()):
            return []
        most = max(1, min(NODES_PER_ENTRY, _CELLS_PER_ENTRY // classes))
        pipe = self._redis.pipeline(transaction=False)
        for first in range(0, len(nodes), most):
            part = msgspec.msgpack.encode(nodes[first : first + most])
            pipe.xadd(self._keys.requests, {"nodes": part, "whole": timeout_ms}, maxlen=ENTRIES_KEPT, approximate=True)
        return [number.decode() for number in cast("list[bytes]", await pipe.execute())]

    async def take(self, table: str, requests: Sequence[str]) -> WholeRows | None:
        """The answers to requests, which are then gone; None where one is not there.

        Args:
            table: that readers see; an answer belongs to one.
            requests: their ids.

        Raises:
            ChampionMoved: another variant is the champion.
        """
        pipe = self._redis.pipeline(transaction=True)
        pipe.get(self._keys.appended)
        pipe.get(self._keys.champion)
        keys = [self._keys.whole(table, request) for request in requests]
        for key in keys:
            pipe.hgetall(key)
        pipe.unlink(*keys)
        appended, champion, *answers, _ = await pipe.execute()
        if self._as_champion:
            require_champion(champion, self._keys.variant)
        if not all(answers):
            return None
        rows = {node.decode(): row for answer in answers for node, row in answer.items() if row}
        return WholeRows(rows, int(appended or 0))


def last_of(requests: Sequence[str]) -> PositionPair:
    """The id of the request that is answered last."""
    return parse_position(requests[-1])
