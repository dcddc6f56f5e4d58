"""Refusing events before Redis runs out of memory."""

from __future__ import annotations

import time
from typing import Any

from redis.asyncio import Redis

from service.problems import OVERLOADED, Problem

_FULL = 0.9
_EVERY_S = 1.0
RETRY_AFTER_S = 5


class MemoryGuard:
    """Looks at Redis' memory once a second at most, when events come.

    The limit is nine tenths of Redis' ``maxmemory``, or of the machine's memory where that is not set.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._looked = float("-inf")
        self._full = ""

    async def check(self) -> None:
        """Let events in or not.

        Raises:
            Problem: 429 with ``Retry-After`` while Redis is nearly full.
        """
        now = time.monotonic()
        if now - self._looked >= _EVERY_S:
            self._looked = now
            memory: dict[str, Any] = await self._redis.info("memory")
            limit = int(memory.get("maxmemory") or memory.get("total_system_memory") or 0)
            used = int(memory["used_memory"])
            full = limit and used > _FULL * limit
            self._full = f"Redis uses {used:,} of {limit:,} bytes" if full else ""
        if self._full:
            raise overloaded(self._full)


def overloaded(why: str) -> Problem:
    """The 429 answer."""
    return Problem(
        OVERLOADED,
        f"{why}. Nothing was written; send the batch again later, or give Redis more memory.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
