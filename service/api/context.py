"""What the routes work with: made once for each application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from redis.asyncio import Redis

from service.api.connection import connect
from service.api.load import LoadGuard
from service.api.metrics import ApiMetrics
from service.keys import Keys
from service.predictions import PredictionReader
from service.settings import Settings
from service.status import WorkerStatus, read_report
from service.stream import EventLog
from service.watermark import Watermark


@dataclass(frozen=True)
class Context:
    """The stores of one graph and the process's metrics."""

    graph: str
    keys: Keys
    redis: Redis
    log: EventLog
    predictions: PredictionReader
    watermark: Watermark
    load: LoadGuard
    metrics: ApiMetrics
    read_timeout_s: float

    async def worker_status(self) -> WorkerStatus | None:
        """The worker's last report; None while none has ever reported."""
        return read_report(cast("bytes | None", await self.redis.get(self.keys.status)))

    async def missing_for_model(self) -> list[str]:
        """What is still missing before a first model is published."""
        status = await self.worker_status()
        if status is None:
            return ["the worker has not started"]
        return list(status.learning.missing) or ["the first version is being made"]


def make_context(settings: Settings) -> Context:
    """The context of an application; nothing is connected before the first use."""
    keys, redis, metrics = Keys(settings.graph), connect(settings.redis_url), ApiMetrics()
    watermark = Watermark(redis, keys, settings.max_waiting)
    metrics.waiting.set_function(lambda: watermark.waiting)
    return Context(
        graph=settings.graph,
        keys=keys,
        redis=redis,
        log=EventLog(redis, keys),
        predictions=PredictionReader(redis, keys),
        watermark=watermark,
        load=LoadGuard(redis, keys, settings),
        metrics=metrics,
        read_timeout_s=settings.read_timeout_s,
    )


async def _context(request: Request) -> Context:
    return cast("Context", request.app.state.context)


Ctx = Annotated[Context, Depends(_context)]
"""Parameter of a route: the application's context."""
