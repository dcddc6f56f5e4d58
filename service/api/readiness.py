"""Whether the service accepts events. Load balancers and orchestrators ask often, so the check must be cheap."""

from __future__ import annotations

import asyncio
import time

from service.api.overload import OverloadGuard
from service.store.health import HealthReader
from service.store.redis_refusals import REDIS_ERRORS, RedisRefused, refusal

_EVERY_S = 0.25
ANSWERS_WITHIN_S = 2.0
"""Redis counts as unavailable after so many seconds, so that a probe is answered in time."""


class Readiness:
    """Checks at most every 0.25 seconds, however often it is asked.

    The service is ready when a batch can be appended: Redis accepts a write, and no lasting lack of memory or disk
    space has every batch refused. No worker or model is needed, because events wait in the log up to a limit. The lag
    of a live worker does not count: it has batches refused for moments, and readers must not lose the service for it.
    """

    def __init__(self, health: HealthReader, overload: OverloadGuard) -> None:
        self._health = health
        self._overload = overload
        self._one_at_a_time = asyncio.Lock()
        self._read_at = float("-inf")
        self._missing: list[str] = []

    async def missing(self) -> list[str]:
        """What is missing for events to be accepted; empty where they are."""
        async with self._one_at_a_time:
            if time.monotonic() - self._read_at >= _EVERY_S:
                self._missing = await self._read()
                self._read_at = time.monotonic()
            return self._missing

    async def _read(self) -> list[str]:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await self._health.probe_write()
                full = await self._overload.lasting()
        except RedisRefused as error:
            return [_refusal(error)]
        except REDIS_ERRORS:
            return ["Redis"]
        return [full] if full is not None else []


def _refusal(error: RedisRefused) -> str:
    known = {"OOM": "memory in Redis", "MISCONF": "space on the disk of Redis"}
    return known.get(refusal(error).code, "a Redis that accepts writes")
