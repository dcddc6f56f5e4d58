"""The objects that the routes share, made once for each application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends, Request
from limits.aio.storage import RedisStorage

from service.api.comparisons import Comparisons
from service.api.metrics import ApiMetrics
from service.api.overload import OverloadGuard
from service.api.readiness import Readiness
from service.settings import Settings
from service.shares import Shares
from service.store.change_reader import ChangeReader
from service.store.log_writer import LogWriter
from service.store.node_lists import ListReader
from service.store.past_rows import PastReader
from service.store.prediction_reader import PredictionReader
from service.store.questions import QuestionStore
from service.store.read_replicas import ReadReplicas
from service.store.rejected import RejectedReader
from service.store.request_writer import RequestWriter
from service.store.stores import open_stores
from service.store.timeline import TimelineReader
from service.store.variants import Variants
from service.store.watermark import Watermark
from service.store.whole_rows import WholeRowStore
from service.store.worker_state import WorkerStateReader

_LARGE_AT_ONCE = 2
"""A large batch or answer takes several times its size in memory while it is processed."""
_LARGE_ANSWERS_WAITING = 256
_QUESTIONS_WAITING = 32
"""The worker answers one in up to 50 ms, between events: the last of so many waits a second or two."""


@dataclass(frozen=True)
class Context:
    """The stores of one graph, the process's metrics and what its requests share.

    Attributes:
        comparisons: of variants with the champion.
        changes_kept: changes of what is served that are kept; 0 where none are recorded.
        memory: bytes of bodies and answers in flight.
        answers: large answers that are made or wait to be made.
        asking: questions that wait for the worker.
        large_batches: those that are decoded and appended at the same time.
        large_answers: those that are made at the same time.
        close: ends the connections to Redis.
    """

    graph: str
    log: LogWriter
    predictions: PredictionReader
    readers: ReadReplicas
    watermark: Watermark
    requests: RequestWriter
    lists: ListReader
    whole_rows: WholeRowStore
    questions: QuestionStore
    rejected: RejectedReader
    changes: ChangeReader
    changes_kept: int
    worker: WorkerStateReader
    variants: Variants
    comparisons: Comparisons
    timeline: TimelineReader
    past: PastReader
    overload: OverloadGuard
    readiness: Readiness
    rate_counts: Callable[[], RedisStorage]
    metrics: ApiMetrics
    read_timeout_s: float
    memory: Shares
    answers: Shares
    asking: Shares
    large_batches: asyncio.Semaphore
    large_answers: asyncio.Semaphore
    close: Callable[[], Awaitable[None]]

    async def missing_for_model(self) -> list[str]:
        """What is still missing before a first model is published."""
        status = await self.worker.report()
        if status is None:
            return ["the worker has not started"]
        return list(status.learning.missing) or ["the first version is being made"]


def make_context(settings: Settings, shared_metrics: Path | None = None) -> Context:
    """The context of an application; nothing is connected before the first use.

    Args:
        settings: of the service.
        shared_metrics: folder of the metrics of all processes under one supervisor.
    """
    stores = open_stores(
        settings.redis_url,
        settings.graph,
        max_classes=settings.max_classes,
        max_waiting=settings.max_waiting,
        max_streams=settings.max_streams,
        wait_replicas=settings.redis_wait_replicas,
        read_urls=settings.redis_read_urls,
    )
    metrics = ApiMetrics(shared_metrics)
    memory = Shares(settings.max_in_flight_mb * 10**6)
    stores.readers.note = metrics.note_replica_read
    metrics.measure(
        waiting=lambda: stores.watermark.waiting,
        in_flight=lambda: memory.used,
        readers=lambda: stores.changes.followers,
    )
    overload = OverloadGuard(stores.health, settings)
    return Context(
        graph=settings.graph,
        log=stores.log,
        predictions=stores.predictions,
        readers=stores.readers,
        watermark=stores.watermark,
        requests=stores.requests,
        lists=stores.lists,
        whole_rows=stores.whole_rows,
        questions=stores.questions,
        rejected=stores.rejected,
        changes=stores.changes,
        changes_kept=settings.changes,
        worker=stores.worker,
        variants=stores.variants,
        comparisons=Comparisons(stores.outcomes),
        timeline=stores.timeline,
        past=stores.past,
        overload=overload,
        readiness=Readiness(stores.health, overload),
        rate_counts=stores.rate_counts,
        metrics=metrics,
        read_timeout_s=settings.read_timeout_s,
        memory=memory,
        answers=Shares(_LARGE_ANSWERS_WAITING),
        asking=Shares(_QUESTIONS_WAITING),
        large_batches=asyncio.Semaphore(_LARGE_AT_ONCE),
        large_answers=asyncio.Semaphore(_LARGE_AT_ONCE),
        close=stores.close,
    )


async def _context(request: Request) -> Context:
    return cast("Context", request.app.state.context)


Ctx = Annotated[Context, Depends(_context)]
"""Parameter of a route: the application's context."""
