"""Counts of requests in Redis, which all API processes and machines of a graph share."""

from __future__ import annotations

from typing import Any

from limits.aio.storage import RedisStorage
from redis.asyncio import Redis

from service.store.keys import Keys


def shared_counts(redis: Redis, keys: Keys) -> RedisStorage:
    """The storage of the library ``limits`` over the connections of a client; its keys have the graph's slot.

    Args:
        redis: client, which is not closed here.
        keys: of the graph.
    """
    pool: Any = redis.connection_pool
    return RedisStorage("async+redis://", implementation="redispy", key_prefix=keys.rate_counts, connection_pool=pool)
