"""Prometheus metrics of the API and, below them, of the worker."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from service.api.context import Context, Ctx
from service.api.metrics import StoreState
from service.prometheus import joined
from service.store.redis_refusals import REDIS_ERRORS

router = APIRouter(tags=["health"])

_ANSWERS_WITHIN_S = 3.0
"""Redis counts as unavailable after so many seconds. The default timeout of Prometheus is 10 seconds."""


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Prometheus metrics",
    response_class=PlainTextResponse,
    response_description="Prometheus' text format, version 0.0.4.",
)
async def get_metrics(context: Ctx) -> Response:
    """`olad_api_...` and `process_...` are of this API process, `olad_worker_...` of the workers.

    Every sample has the label `graph`, and what is of a worker or of its predictions the label `variant`.

    Several processes of one `olad api` count as one: `olad_api_...` are their sums, `process_...` has the label `pid`.

    What is not known is left out: without a heartbeat there is of a worker only `olad_worker_up 0` and the age of its
    last heartbeat, without Redis only `olad_redis_up 0` beside what is of this process.
    """
    state, workers = await _read(context)
    context.metrics.store.state = state
    return Response(context.metrics.text() + workers, media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _read(context: Context) -> tuple[StoreState | None, bytes]:
    """Metrics read from Redis, and those of the workers whose heartbeat is there."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            found = await context.variants.counters()
    except REDIS_ERRORS:
        return None, b""
    now, newest = time.time(), max(found.values(), key=lambda each: each.appended)
    state = StoreState(
        entries=newest.entries,
        appended=newest.appended,
        behind={name: each.behind for name, each in found.items()},
        worker_up={name: each.alive for name, each in found.items()},
        heartbeat_age_s={
            name: None if each.last_beat is None else max(0.0, now - each.last_beat) for name, each in found.items()
        },
    )
    return state, joined(each.metrics for each in found.values())
