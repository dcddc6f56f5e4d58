"""The state of the whole service."""

from __future__ import annotations

import time

from fastapi import APIRouter

from service.api.context import Context, Ctx
from service.api.variants import Variant, answered_by
from service.models import LogStatus, ServiceStatus

router = APIRouter(tags=["status"])


@router.get(
    "/status",
    operation_id="getStatus",
    summary="Positions, lag, rates and sizes",
    response_description="The worker's last report and the log's present state.",
)
async def get_status(context: Ctx, variant: Variant = None) -> ServiceStatus:
    """The log as it is now, the worker as it last reported, once a second while its heartbeat is fresh.

    The worker is that of the champion, unless `variant` names another one.
    """
    return await answered_by(context, variant, _status)


async def _status(context: Context) -> ServiceStatus:
    found = await context.worker.overview()
    checkpoint = found.report.checkpoint if found.report is not None else None
    return ServiceStatus(
        graph=context.graph,
        log_id=found.log_id if found.log_id is not None else await context.log.identity(),
        heartbeat=found.alive,
        position=found.position,
        log=LogStatus(
            position=found.last,
            entries=found.entries,
            appended_events=found.appended,
            behind_events=found.behind,
        ),
        checkpoint_age_s=max(0.0, time.time() - checkpoint.written_at) if checkpoint is not None else None,
        worker=found.report,
        variant=context.variant,
        champion=found.champion,
    )
