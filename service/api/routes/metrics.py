"""Prometheus metrics of the API and, below them, of the worker."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from service.api.context import Context, Ctx
from service.api.metrics import StoreState
from service.api.variants import Variant, asked_of
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
async def get_metrics(context: Ctx, variant: Variant = None) -> Response:
    """`olad_api_...` and `process_...` are of this API process, `olad_worker_...` of the worker.

    The worker is that of the default variant, whichever is the champion, unless `variant` names another one.

    Several processes of one `olad api` count as one: `olad_api_...` are their sums, `process_...` has the label `pid`.

    What is not known is left out: without a heartbeat there is of the worker only `olad_worker_up 0` and the age of its
    last heartbeat, without Redis only `olad_redis_up 0` beside what is of this process.
    """
    state, worker = await _read(context, variant)
    context.metrics.store.state = state
    return Response(context.metrics.text() + worker, media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _read(context: Context, variant: str | None) -> tuple[StoreState | None, bytes]:
    """Metrics read from Redis, and the worker's own metrics while its heartbeat is there."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            asked = context if variant is None else await asked_of(context, variant)
            found = await asked.worker.counters()
    except REDIS_ERRORS:
        return None, b""
    state = StoreState(
        entries=found.entries,
        appended=found.appended,
        behind=found.behind,
        worker_up=found.alive,
        heartbeat_age_s=max(0.0, time.time() - found.last_beat) if found.last_beat is not None else None,
    )
    return state, found.metrics
