"""How many requests one key, or one address, may make."""

from __future__ import annotations

import ipaddress
import math
import time

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.types import Scope

from service.api.access import Caller
from service.problems import RATE_LIMITED, Problem

Headers = list[tuple[bytes, bytes]]
_IPV6_SITE = 64


class RateLimiter:
    """Counts requests in this process's memory, in windows that move with the time.

    Args:
        limits: such as ``100/second;5000/minute``; all of them hold.
    """

    def __init__(self, limits: str) -> None:
        self._limits = sorted(parse_many(limits), key=lambda limit: limit.get_expiry())
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def check(self, caller: Caller, scope: Scope) -> Headers:
        """Count one request; the ``RateLimit`` headers of the limit that is nearest.

        Raises:
            Problem: 429, with the same headers and ``Retry-After``.
        """
        if scope["path"].startswith("/health/"):
            return []
        who = f"key:{caller.key.id}" if caller.key is not None else _address(scope)
        over = [limit for limit in self._limits if not await self._limiter.hit(limit, who)]
        nearest: tuple[int, int, RateLimitItem] | None = None
        for limit in over or self._limits:
            reset, remaining = await self._limiter.get_window_stats(limit, who)
            seconds = max(1, math.ceil(reset - time.time()))
            # Of limits that are passed the one that lasts longest counts, of the others the one with least left.
            rank = (-seconds, 0) if over else (remaining, -seconds)
            if nearest is None or rank < nearest[:2]:
                nearest, shown = (*rank, limit), (limit, remaining, seconds)
        limit, remaining, seconds = shown
        headers = {
            "RateLimit-Limit": str(limit.amount),
            "RateLimit-Remaining": str(max(0, remaining)),
            "RateLimit-Reset": str(seconds),
        }
        if over:
            detail = f"more than {limit.amount} requests in {limit.get_expiry()} s; go on in {seconds} s"
            raise Problem(RATE_LIMITED, detail, headers={"Retry-After": str(seconds), **headers})
        return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _address(scope: Scope) -> str:
    """Where a request comes from; of IPv6 the network, since a site has as many addresses as it likes."""
    client = scope.get("client")
    if client is None:
        return "address:unknown"
    try:
        address = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return f"address:{client[0]}"
    if address.version == 6 and address.ipv4_mapped is None:
        return f"address:{ipaddress.ip_network((address, _IPV6_SITE), strict=False)}"
    return f"address:{address}"
