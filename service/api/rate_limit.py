"""How many requests one key, or one address, may make."""

from __future__ import annotations

import asyncio
import math
import time

import structlog
from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.types import Scope

from service.api.access import Caller
from service.problems import RATE_LIMITED, Problem
from service.store.redis_refusals import REDIS_ERRORS

_SHARED_WITHIN_S = 0.5
_SHARED_AGAIN_S = 5.0
_log = structlog.get_logger(__name__)
Headers = list[tuple[bytes, bytes]]


class RateLimiter:
    """Counts requests in windows that move with the time, in this process's memory or in Redis.

    Where Redis does not count within half a second, this process counts by itself for five seconds.

    Args:
        limits: such as ``100/second;5000/minute``; all of them hold.
        shared: counts of all processes; None to count in this process alone.
    """

    def __init__(self, limits: str, shared: RedisStorage | None = None) -> None:
        self._limits = sorted(parse_many(limits), key=lambda limit: limit.get_expiry())
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = SlidingWindowCounterRateLimiter(shared) if shared is not None else None
        self._shared_from = float("-inf")

    async def check(self, caller: Caller, scope: Scope) -> Headers:
        """Count one request; the ``RateLimit`` headers of the limit that is nearest.

        Raises:
            Problem: 429, with the same headers and ``Retry-After``.
        """
        if scope["path"].startswith("/health/"):
            return []
        who = caller.client(scope)
        over, left = await self._count(who)
        # The headers describe the exceeded limit that lasts longest, else the limit with the fewest requests left.
        amount, remaining, seconds = max(left, key=lambda one: one[2]) if over else min(left, key=lambda one: one[1])
        headers = {
            "RateLimit-Limit": str(amount),
            "RateLimit-Remaining": str(remaining),
            "RateLimit-Reset": str(seconds),
        }
        if over:
            limits = " and ".join(f"{limit.amount} requests in {limit.get_expiry()} s" for limit in over)
            detail = f"{who.partition(':')[0]} limited to {limits}; try again in {seconds} s"
            raise Problem(RATE_LIMITED, detail, headers={"Retry-After": str(seconds), **headers})
        return [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def _count(self, who: str) -> tuple[list[RateLimitItem], list[tuple[int, int, int]]]:
        """Count one request; the limits that are exceeded, and what is left of these, else of all."""
        if self._shared is not None and time.monotonic() >= self._shared_from:
            try:
                async with asyncio.timeout(_SHARED_WITHIN_S):
                    return await self._count_by(self._shared, who)
            except REDIS_ERRORS as error:
                self._shared_from = time.monotonic() + _SHARED_AGAIN_S
                _log.warning("rate limits are counted by this process alone: Redis cannot be used", error=str(error))
        return await self._count_by(self._own, who)

    async def _count_by(
        self, limiter: SlidingWindowCounterRateLimiter, who: str
    ) -> tuple[list[RateLimitItem], list[tuple[int, int, int]]]:
        over = [limit for limit in self._limits if not await limiter.hit(limit, who)]
        return over, [await _left(limiter, limit, who) for limit in over or self._limits]


async def _left(limiter: SlidingWindowCounterRateLimiter, limit: RateLimitItem, who: str) -> tuple[int, int, int]:
    """Requests allowed, requests left, seconds until there are more."""
    reset, remaining = await limiter.get_window_stats(limit, who)
    return limit.amount, max(0, remaining), max(1, math.ceil(reset - time.time()))
