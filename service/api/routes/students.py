"""The members of the group, their scores, and what is decided by them."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.body import JSON
from service.api.context import Ctx
from service.api.errors import REDIS_DOWN, problem_docs
from service.api.models import Students

router = APIRouter(tags=["status"])

STUDENT_EXAMPLE = {
    "name": "sage",
    "architecture": "sage",
    "parameters": 72_451,
    "score": {
        "scored": 1800,
        "accuracy": 0.84,
        "macro_f1": 0.79,
        "log_loss": 0.45,
        "accuracy_recent": 0.86,
        "macro_f1_recent": 0.8,
        "log_loss_recent": 0.41,
        "calibration_error_recent": 0.03,
    },
    "temperature": 1.2,
    "served": True,
    "served_since_version": 3,
}

DECISION_EXAMPLE = {
    "number": 31,
    "position": "1763900000000-0",
    "applied_events": 40_000,
    "kind": "student-switched",
    "student": "sage",
    "version": 3,
    "reason": "switched from gcn to sage: expected accuracy 2.0 points higher",
    "numbers": {"standing_gcn": -0.019, "standing_sage": 0.001, "margin": 0.005},
}


@router.get(
    "/students",
    summary="Every student, its scores, and the last decisions",
    response_description="The group, in its fixed order; the decisions, newest first.",
    responses={
        200: {"content": {JSON: {"example": {"students": [STUDENT_EXAMPLE], "decisions": [DECISION_EXAMPLE]}}}},
        **problem_docs(REDIS_DOWN),
    },
)
async def get_students(context: Ctx) -> Students:
    """Architecture, size and prequential scores of each member, and which one is served since when.

    `decisions` tells what the worker decided by itself: which student each version came from and why, drift in the
    errors of what was served, versions that were refused, students that began anew, new classes.
    """
    status = await context.worker_status()
    if status is None:
        return Students(students=[], decisions=[])
    return Students(students=list(status.students), decisions=list(status.decisions))
