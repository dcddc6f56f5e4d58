"""Liveness, readiness."""

from __future__ import annotations

from fastapi import APIRouter
from redis.exceptions import RedisError

from service.api.body import JSON
from service.api.context import Context, Ctx
from service.api.errors import problem_docs
from service.api.models import Live, Ready
from service.problems import NOT_READY, Problem

router = APIRouter(prefix="/health", tags=["health"])


@router.get(
    "/live",
    summary="Whether the process answers",
    response_description="It does.",
    responses={200: {"content": {JSON: {"example": {"live": True}}}}, **problem_docs()},
)
async def get_live() -> Live:
    """Says nothing about Redis or the worker: restarting this process would not help them."""
    return Live()


@router.get(
    "/ready",
    summary="Whether predictions can be served",
    response_description="Redis answers, the worker's heartbeat is fresh, a model is published.",
    responses={
        200: {"content": {JSON: {"example": {"ready": True}}}},
        **problem_docs(
            (
                NOT_READY,
                "missing: the worker's heartbeat, a published model",
                {"missing": ["the worker's heartbeat", "a published model"]},
            )
        ),
    },
)
async def get_ready(context: Ctx) -> Ready:
    """All of it, or 503 naming what is missing."""
    missing = await _missing(context)
    if missing:
        raise Problem(NOT_READY, f"missing: {', '.join(missing)}", headers={"Retry-After": "1"}, missing=missing)
    return Ready()


async def _missing(context: Context) -> list[str]:
    try:
        async with context.redis.pipeline(transaction=True) as pipe:
            pipe.exists(context.keys.heartbeat)
            pipe.hexists(context.keys.served, "version")
            alive, published = await pipe.execute()
    except (RedisError, OSError):
        return ["Redis"]
    parts = (("the worker's heartbeat", alive), ("a published model", published))
    return [name for name, there in parts if not there]
