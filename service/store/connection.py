"""Connections to Redis: one server, the primary that Sentinels name, or that of a graph in a cluster.

No client here ever sends a command twice: after a lost answer that would append twice. Whoever asked decides.
"""

from __future__ import annotations

from typing import Any

import redis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry as WaitingRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.redis_urls import parse_located
from service.store.asyncio_connections import KINDS
from service.store.keys import Keys
from service.store.located import (
    BlockingLocatedConnection,
    BlockingLocatedSSLConnection,
    LocatedConnection,
    LocatedPool,
    LocatedSSLConnection,
)
from service.store.locator import Role, locator_for

DEFAULT_URL = "redis://127.0.0.1:6379/0"
_CONNECTIONS = 64
_TIMEOUT_S = 5.0


def connect(url: str | None, keys: Keys, role: Role = "primary") -> Redis:
    """A client for asyncio that answers bytes, connects when it is first used and gives up after five seconds.

    Args:
        url: of Redis; None is the default one.
        keys: of the graph, which decides the primary in a cluster.
        role: of the servers that Sentinels or a cluster are asked for; the URL of one server names that one.
    """
    named: dict[str, Any] = {
        "max_connections": _CONNECTIONS,
        "timeout": _TIMEOUT_S,
        "socket_timeout": _TIMEOUT_S,
        "socket_connect_timeout": _TIMEOUT_S,
        "retry": WaitingRetry(NoBackoff(), 0),
        "protocol": 2,
    }
    located = parse_located(url or DEFAULT_URL)
    if located is None:
        options: dict[str, Any] = {**named, **parse_url(url or DEFAULT_URL)}
        options["connection_class"] = KINDS[options.get("connection_class", Connection)]
        return Redis.from_pool(BlockingConnectionPool(**options))
    kind = LocatedSSLConnection if located.secure else LocatedConnection
    locator = locator_for(located, keys.log, role)
    return Redis.from_pool(LocatedPool(connection_class=kind, locator=locator, **{**named, **located.options}))


def connect_blocking(url: str | None, keys: Keys, timeout_s: float) -> redis.Redis:
    """A blocking client that answers bytes.

    Args:
        url: of Redis; None is the default one.
        keys: of the graph.
        timeout_s: for an answer; longer than a blocking read.
    """
    named: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": _TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
    }
    located = parse_located(url or DEFAULT_URL)
    if located is None:
        return redis.Redis.from_url(url or DEFAULT_URL, **named)
    kind = BlockingLocatedSSLConnection if located.secure else BlockingLocatedConnection
    locator = locator_for(located, keys.log, "primary")
    pool = redis.ConnectionPool(connection_class=kind, locator=locator, **{**named, **located.options})
    return redis.Redis.from_pool(pool)
