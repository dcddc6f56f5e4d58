"""Prometheus metrics of the API and, below them, of the worker."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from redis.exceptions import RedisError

from service.api.context import Context, Ctx
from service.api.metrics import StoreState

router = APIRouter(tags=["health"])

_ANSWERS_WITHIN_S = 3.0
"""A Redis that takes longer counts as away: Prometheus waits for 10 seconds unless told otherwise."""


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Prometheus metrics",
    response_class=PlainTextResponse,
    response_description="Prometheus' text format, version 0.0.4.",
)
async def get_metrics(context: Ctx) -> Response:
    """`olad_api_...` and `process_...` are of this API process, `olad_worker_...` of the worker.

    What is not known is left out: without a heartbeat there is of the worker only `olad_worker_up 0` and the age of its
    last heartbeat, without Redis only `olad_redis_up 0` beside what is of this process.
    """
    state, worker = await _read(context)
    context.metrics.store.state = state
    return Response(generate_latest(context.metrics.registry) + worker, media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _read(context: Context) -> tuple[StoreState | None, bytes]:
    """What Redis tells, and the worker's own metrics while it lives."""
    keys = context.keys
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S), context.redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.metrics)
            pipe.xlen(keys.log)
            pipe.get(keys.appended)
            pipe.hget(keys.served, "applied")
            pipe.exists(keys.heartbeat)
            pipe.get(keys.last_beat)
            worker, entries, appended, applied, alive, last_beat = await pipe.execute()
    except (RedisError, OSError, TimeoutError):
        return None, b""
    state = StoreState(
        entries=entries,
        appended=int(appended or 0),
        behind=max(0, int(appended or 0) - int(applied or 0)),
        worker_up=bool(alive),
        heartbeat_age_s=max(0.0, time.time() - float(last_beat)) if last_beat is not None else None,
    )
    return state, worker if alive and worker else b""
