"""The members of the group, their scores, and what is decided by them."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.context import Context, Ctx
from service.api.variants import Variant, answered_by
from service.models import Group

router = APIRouter(tags=["status"])


@router.get(
    "/students",
    operation_id="getStudents",
    summary="Every student, its scores, and the last decisions",
    response_description="The group, in its fixed order; the decisions, newest first.",
)
async def get_students(context: Ctx, variant: Variant = None) -> Group:
    """Architecture, size and prequential scores of each member, and which one is served since when.

    `combined` is what they predict together, with the weight of each. `decisions` lists the decisions of the worker:
    what each version is of and why it was chosen, drift in the errors of the served predictions, refused versions,
    students with new weights, new classes.
    """
    return await answered_by(context, variant, _group)


async def _group(context: Context) -> Group:
    status = await context.worker.report()
    if status is None:
        return Group(students=[], decisions=[])
    return Group(students=list(status.students), combined=status.combined, decisions=list(status.decisions))
