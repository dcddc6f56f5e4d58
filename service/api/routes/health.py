"""Three probes for orchestrators: whether the process answers, accepts events, and can predict."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter

from service.api.context import Context, Ctx
from service.api.variants import answered_by
from service.models import LiveAnswer, PredictingAnswer, ReadyAnswer
from service.problems import NOT_READY, Problem
from service.store.redis_refusals import REDIS_ERRORS

router = APIRouter(prefix="/health", tags=["health"])


@router.get(
    "/live",
    operation_id="getLive",
    summary="Whether the process answers",
    response_description="It does.",
)
async def get_live() -> LiveAnswer:
    """Does not depend on Redis or the worker: a restart of this process would not help them."""
    return LiveAnswer()


@router.get(
    "/ready",
    operation_id="getReady",
    summary="Whether events are accepted",
    response_description="They are.",
)
async def get_ready(context: Ctx) -> ReadyAnswer:
    """Redis takes a write, and neither its memory nor the worker's disk is full.

    Needs no worker and no model: events wait in the log until a worker comes. 503 names what is missing.
    """
    missing = await context.readiness.missing()
    if missing:
        raise _not_ready(missing)
    return ReadyAnswer()


@router.get(
    "/predicting",
    operation_id="getPredicting",
    summary="Whether predictions are served",
    response_description="They are.",
)
async def get_predicting(context: Ctx) -> PredictingAnswer:
    """Redis answers reads, and a model is published.

    A worker is not needed: the last predictions are answered, with their position and how far they are behind.
    `worker` states whether the worker is there.
    """
    return await answered_by(context, None, _predicting)


async def _predicting(context: Context) -> PredictingAnswer:
    try:
        snapshot = await context.readers.read([])
    except REDIS_ERRORS:
        raise _not_ready(["Redis"]) from None
    # A replica may answer reads while the primary is away.
    worker = False
    with contextlib.suppress(*REDIS_ERRORS):
        worker = await context.worker.alive()
    if snapshot.model is None:
        raise _not_ready(["a published model"])
    return PredictingAnswer(worker=worker)


def _not_ready(missing: list[str]) -> Problem:
    return Problem(NOT_READY, f"missing: {', '.join(missing)}", headers={"Retry-After": "1"}, missing=missing)
