"""The objects that the routes share, made once for each application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from limits.aio.storage import RedisStorage

from service.api.comparisons import Comparisons
from service.api.metrics import ApiMetrics
from service.api.overload import OverloadGuard
from service.api.readiness import Readiness
from service.problems import BAD_REQUEST, Problem
from service.settings import Settings
from service.shares import Shares
from service.store.champion import ChampionStore
from service.store.log_writer import LogWriter
from service.store.rejected import RejectedReader
from service.store.stores import open_stores
from service.store.variant_stores import VariantStores
from service.store.variants import Variants
from service.traffic_split import TrafficSplit
from service.variant_names import DEFAULT_VARIANT

_LARGE_AT_ONCE = 2
"""A large batch or answer takes several times its size in memory while it is processed."""
_LARGE_ANSWERS_WAITING = 256
_QUESTIONS_WAITING = 32
"""The worker answers one in up to 50 ms, between events: the last of so many waits a second or two."""


@dataclass(frozen=True, kw_only=True)
class Context(VariantStores):
    """The stores of one graph, the process's metrics and what its requests share.

    What a variant has is that of the one that a request asks (:mod:`service.api.variants`).

    Attributes:
        variant: that is asked.
        as_champion: whether it is asked because it is the champion.
        shown_variant: the variant as answers name it; None where there is only one and none was named.
        champion: which variant answers where a reader names none.
        split: of the traffic between the champion and others.
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
    variant: str = DEFAULT_VARIANT
    as_champion: bool = True
    shown_variant: str | None = None
    log: LogWriter
    rejected: RejectedReader
    changes_kept: int
    variants: Variants
    comparisons: Comparisons
    champion: ChampionStore
    split: TrafficSplit
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

    @property
    def named(self) -> dict[str, str]:
        """The field of an answer that names the variant; none where that is not shown."""
        return {} if self.shown_variant is None else {"variant": self.shown_variant}

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
    metrics = ApiMetrics(shared_metrics, {"graph": settings.graph})
    memory = Shares(settings.max_in_flight_mb * 10**6)
    stores.variants.note_replica_reads(metrics.note_replica_read)
    metrics.measure(
        waiting=lambda: stores.variants.waiting,
        in_flight=lambda: memory.used,
        readers=lambda: stores.variants.followers,
    )
    overload = OverloadGuard(stores.health, settings)
    return Context(
        **{field.name: getattr(stores, field.name) for field in fields(VariantStores)},
        graph=settings.graph,
        log=stores.log,
        rejected=stores.rejected,
        changes_kept=settings.changes,
        variants=stores.variants,
        comparisons=Comparisons(stores.outcomes),
        champion=stores.champion,
        split=TrafficSplit.parse(settings.split),
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
    if b"variant=" in request.scope["query_string"] and "variant" in request.query_params:
        _require_variant_is_taken(request)
    return cast("Context", request.app.state.context)


def _require_variant_is_taken(request: Request) -> None:
    """See that a route takes the variant that a request names.

    Raises:
        Problem: 400 where it would be passed over.
    """
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    if all(parameter.alias != "variant" for parameter in route.dependant.query_params):
        raise Problem(BAD_REQUEST, f"{route.path} is not about one variant: ask without variant")


Ctx = Annotated[Context, Depends(_context)]
"""Parameter of a route: the application's context."""
