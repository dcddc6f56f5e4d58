"""The members of the group and their scores."""

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
        "log_loss": 0.45,
        "accuracy_recent": 0.86,
        "log_loss_recent": 0.41,
    },
    "served": True,
    "served_since_version": 3,
}


@router.get(
    "/students",
    summary="Every student and its scores",
    response_description="The group, in its fixed order.",
    responses={
        200: {"content": {JSON: {"example": {"students": [STUDENT_EXAMPLE]}}}},
        **problem_docs(REDIS_DOWN),
    },
)
async def get_students(context: Ctx) -> Students:
    """Architecture, size and prequential scores of each member, and which one is served since when."""
    status = await context.worker_status()
    return Students(students=list(status.students) if status is not None else [])
