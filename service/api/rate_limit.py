"""How many requests one key, or one address, may make."""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.types import Scope

from service.api.access import Caller
from service.problems import RATE_LIMITED, Problem

Headers = list[tuple[bytes, bytes]]


class RateLimiter:
    """Counts requests in this process's memory, in windows that move with the time.

    Args:
        limits: such as ``100/second;5000/minute``; all of them hold.
    """

    def __init__(self, limits: str) -> None:
        self._limits = sorted(parse_many(limits), key=lambda limit: limit.get_expiry())
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def check(self, caller: Caller, scope: Scope) -> Headers:
        """Count one request; the ``RateLimit`` headers of the limit that is nearest.

        Raises:
            Problem: 429, with the same headers and ``Retry-After``.
        """
        if scope["path"].startswith("/health/"):
            return []
        who = caller.client(scope)
        over = [limit for limit in self._limits if not await self._limiter.hit(limit, who)]
        left = [await self._left(limit, who) for limit in over or self._limits]
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

    async def _left(self, limit: RateLimitItem, who: str) -> tuple[int, int, int]:
        """Requests allowed, requests left, seconds until there are more."""
        reset, remaining = await self._limiter.get_window_stats(limit, who)
        return limit.amount, max(0, remaining), max(1, math.ceil(reset - time.time()))
