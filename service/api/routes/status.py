"""Everything about the service at one glance."""

from __future__ import annotations

import time

from fastapi import APIRouter
from redis.exceptions import RedisError

from service.api.body import JSON
from service.api.context import Ctx
from service.api.errors import REDIS_DOWN, problem_docs
from service.api.models import LogStatus, ServiceStatus
from service.api.routes.students import DECISION_EXAMPLE, STUDENT_EXAMPLE
from service.store.status import read_report

router = APIRouter(tags=["status"])

_POSITION = "1763900000000-0"
_VERSION = {"version": 7, "student": "sage", "progress": 1.0, "created_position": _POSITION}
_EXAMPLE = {
    "graph": "default",
    "log_id": "5f0c1c8c7d1b4b3c9a6e2f7d8b9a0c1d",
    "heartbeat": True,
    "position": _POSITION,
    "log": {"position": _POSITION, "entries": 42, "appended_events": 42_000, "behind_events": 0},
    "checkpoint_age_s": 12.5,
    "worker": {
        "position": _POSITION,
        "applied_events": 42_000,
        "rejected_events": 0,
        "started_at": 1763900000.0,
        "updated_at": 1763900060.0,
        "device": "cpu",
        "events_per_s": 700.0,
        "steps_per_s": 25.0,
        "graph": {
            "nodes": 4000,
            "edges": 18_000,
            "labelled": 3000,
            "classes": ["physics", "biology"],
            "feature_width": 500,
            "latest_time": 2010.0,
            "event_time": True,
        },
        "learning": {
            "state": "learning",
            "since": 1763900000.0,
            "steps": 1500,
            "skipped_steps": 0,
            "missing": [],
            "losses": {"supervised": 0.42, "global": 0.01, "local": 0.6},
        },
        "served": _VERSION,
        "served_score": STUDENT_EXAMPLE["score"],
        "candidate": None,
        "students": [STUDENT_EXAMPLE],
        "decisions": [DECISION_EXAMPLE],
        "checkpoint": {"position": _POSITION, "written_at": 1763900047.5, "path": "olad-data/checkpoints/1"},
    },
}


@router.get(
    "/status",
    summary="Positions, lag, rates and sizes",
    response_description="The worker's last report and the log's present state.",
    responses={200: {"content": {JSON: {"example": _EXAMPLE}}}, **problem_docs(REDIS_DOWN)},
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
