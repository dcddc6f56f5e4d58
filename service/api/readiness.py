"""Whether the service accepts events: asked by balancers and orchestrators, so it must be cheap, and true."""

from __future__ import annotations

import asyncio
import time

from service.api.overload import LoadGuard
from service.store.health import HealthReader
from service.store.redis_refusals import REDIS_ERRORS, RedisRefused, refusal

_EVERY_S = 0.25
ANSWERS_WITHIN_S = 2.0
"""A Redis that takes longer counts as away, so that a probe is answered in time."""


class Readiness:
    """Finds out a few times a second at most, whoever asks how often.

    What counts is that a batch could be appended now: Redis takes a write, and no lasting want of memory or disk makes
    every batch be refused. A worker or a model is not needed: events wait in the log, until as many wait as may. The
    lag of a worker that is there does not count: batches are refused for moments, and readers are not sent away for it.
    """

    def __init__(self, health: HealthReader, load: LoadGuard) -> None:
        self._health = health
        self._load = load
        self._one_at_a_time = asyncio.Lock()
        self._looked = float("-inf")
        self._missing: list[str] = []

    async def missing(self) -> list[str]:
        """What is missing for events to be accepted; empty where they are."""
        async with self._one_at_a_time:
            if time.monotonic() - self._looked >= _EVERY_S:
                self._missing = await self._look()
                self._looked = time.monotonic()
            return self._missing

    async def _look(self) -> list[str]:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await self._health.probe_write()
                full = await self._load.lasting()
        except RedisRefused as error:
            return [_refusal(error)]
        except REDIS_ERRORS:
            return ["Redis"]
        return [full] if full is not None else []


def _refusal(error: RedisRefused) -> str:
    known = {"OOM": "memory in Redis", "MISCONF": "room on the disk of Redis"}
    return known.get(refusal(error).code, "a Redis that accepts writes")
