"""Everything about the service at one glance."""

from __future__ import annotations

import time

from fastapi import APIRouter
from redis.exceptions import RedisError

from service.api.context import Ctx
from service.api.models import LogStatus, ServiceStatus
from service.store.status import read_report

router = APIRouter(tags=["status"])


@router.get(
    "/status",
    operation_id="getStatus",
    summary="Positions, lag, rates and sizes",
    response_description="The worker's last report and the log's present state.",
)
async def get_status(context: Ctx) -> ServiceStatus:
    """The log as it is now, the worker as it last reported, once a second while its heartbeat is fresh."""
    keys = context.keys
    async with context.redis.pipeline(transaction=True) as pipe:
        pipe.xinfo_stream(keys.log)
        pipe.get(keys.appended)
        pipe.hmget(keys.served, ["position", "applied"])
        pipe.exists(keys.heartbeat)
        pipe.get(keys.status)
        pipe.get(keys.log_id)
        info, *others = await pipe.execute(raise_on_error=False)
    for refused in (answer for answer in (info, *others) if isinstance(answer, RedisError)):
        if refused is not info or "no such key" not in str(info):
            raise refused
        # The log's key comes with its first entry.
        info = {"last-generated-id": None, "length": 0}
    appended, (position, applied), alive, report, log_id = others
    worker = read_report(report)
    checkpoint = worker.checkpoint if worker is not None else None
    last = info["last-generated-id"]
    return ServiceStatus(
        graph=context.graph,
        log_id=log_id.decode() if log_id is not None else await context.log.identity(),
        heartbeat=bool(alive),
        position=position.decode() if position is not None else None,
        log=LogStatus(
            position=last.decode() if last is not None else None,
            entries=info["length"],
            appended_events=int(appended or 0),
            behind_events=max(0, int(appended or 0) - int(applied or 0)),
        ),
        checkpoint_age_s=max(0.0, time.time() - checkpoint.written_at) if checkpoint is not None else None,
        worker=worker,
    )
