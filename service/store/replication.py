"""Waiting until replicas have what was written, where the operator asks for that (``OLAD_REDIS_WAIT_REPLICAS``).

``WAIT`` counts the replicas that have everything this connection has written. A small write before it makes it hold
for all that this Redis had before, whoever wrote that.
"""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.asyncio import Redis as WaitingRedis
from redis.exceptions import RedisError

from olad_core.errors import OladError
from service.store.keys import Keys

_WITHIN_MS = 2_000
_EXPIRES_MS = 60_000


class NotReplicated(OladError, RedisError):
    """Fewer replicas than wanted have what was written. It stands in the primary's log all the same."""

    def __init__(self, have: int, wanted: int) -> None:
        super().__init__(f"{have} of {wanted} replicas have what was written, within {_WITHIN_MS} ms")


async def wait_for_replicas(redis: WaitingRedis, keys: Keys, replicas: int) -> None:
    """Return when so many replicas have all that was written before; at once where none is wanted.

    Raises:
        NotReplicated: they do not have it in time.
    """
    if replicas:
        async with redis.pipeline(transaction=False) as pipe:
            _require(await _add(pipe, keys, replicas).execute(), replicas)


def wait_for_replicas_blocking(redis: Redis, keys: Keys, replicas: int) -> None:
    """The same with a blocking client.

    Raises:
        NotReplicated: they do not have it in time.
    """
    if replicas:
        with redis.pipeline(transaction=False) as pipe:
            _require(_add(pipe, keys, replicas).execute(), replicas)


def _add(pipe: Any, keys: Keys, replicas: int) -> Any:
    pipe.set(keys.probe, 1, px=_EXPIRES_MS)
    pipe.execute_command("WAIT", replicas, _WITHIN_MS)
    return pipe


def _require(answers: list[Any], replicas: int) -> None:
    have = int(answers[1])
    if have < replicas:
        raise NotReplicated(have, replicas)
