"""Prometheus metrics of the API and, below them, of the worker."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from redis.exceptions import RedisError

from service.api.context import Context, Ctx
from service.api.errors import problem_docs

router = APIRouter(tags=["health"])

_EXAMPLE = "# HELP olad_api_events_accepted_total Events appended to the log.\nolad_api_events_accepted_total 42000.0\n"


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=PlainTextResponse,
    response_description="Prometheus' text format, version 0.0.4.",
    responses={200: {"content": {"text/plain": {"example": _EXAMPLE}}}, **problem_docs()},
)
async def get_metrics(context: Ctx) -> Response:
    """The API's own metrics begin with `olad_api_`; the worker's stand as it last wrote them.

    Without Redis there are the API's own, with `olad_api_redis_up 0`.
    """
    worker = await _read(context)
    return Response(generate_latest(context.metrics.registry) + worker, media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _read(context: Context) -> bytes:
    keys, metrics = context.keys, context.metrics
    try:
        async with context.redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.metrics)
            pipe.xlen(keys.log)
            pipe.get(keys.appended)
            pipe.hget(keys.served, "applied")
            worker, entries, appended, applied = await pipe.execute()
    except (RedisError, OSError):
        metrics.redis_up.set(0)
        return b""
    metrics.redis_up.set(1)
    metrics.log_entries.set(entries)
    metrics.appended.set(int(appended or 0))
    metrics.behind.set(max(0, int(appended or 0) - int(applied or 0)))
    return worker or b""
