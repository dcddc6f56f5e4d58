"""Scores, lag and decisions over time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from service.api.answers import one_answer
from service.api.context import Ctx
from service.api.variants import Variant, asked_of
from service.store.samples import Timeline

router = APIRouter(tags=["status"])

MAX_POINTS = 1_000


@router.get(
    "/history",
    operation_id="getHistory",
    summary="Scores, lag and decisions over time",
    response_model=Timeline,
    response_description="Samples and decisions, the oldest first.",
)
async def get_history(
    request: Request,
    context: Ctx,
    since: Annotated[
        float, Query(ge=0, le=1e11, description="Unix time in seconds; what is older is left out.", allow_inf_nan=False)
    ] = 0.0,
    points: Annotated[int, Query(ge=1, le=MAX_POINTS, description="Samples at most; further ones are left out.")] = 300,
    variant: Variant = None,
) -> Response:
    """What the worker reported. Samples are 10 seconds apart in the last hour, and further apart before.

    They are 2 minutes apart in the last day, half an hour in the last week and 6 hours in the last 90 days. A worker
    that was away has left a gap.
    """
    asked = await asked_of(context, variant)
    samples, decisions = await asked.timeline.read(since, points)
    return one_answer(request, b'{"samples":[%b],"decisions":[%b]}' % (b",".join(samples), b",".join(decisions)))
