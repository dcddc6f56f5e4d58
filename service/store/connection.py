"""The connections of the API to Redis."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

DEFAULT_URL = "redis://127.0.0.1:6379/0"
_CONNECTIONS = 64
_TIMEOUT_S = 5.0


def connect(url: str | None) -> Redis:
    """A client that answers bytes, connects when it is first used and gives up after five seconds.

    It never sends a command twice: after a lost answer that would append twice. Whoever asked decides.
    """
    pool = BlockingConnectionPool.from_url(
        url or DEFAULT_URL,
        max_connections=_CONNECTIONS,
        timeout=_TIMEOUT_S,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return Redis.from_pool(pool)
