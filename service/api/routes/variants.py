"""The workers on one graph, side by side."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.context import Ctx
from service.models import VariantList, VariantStatus
from service.store.variants import VariantState

router = APIRouter(tags=["status"])


@router.get(
    "/variants",
    operation_id="getVariants",
    summary="The variants of the graph",
    response_description="The default one first.",
)
async def get_variants(context: Ctx) -> VariantList:
    """Workers on the same log, each under a configuration of its own: how far each is, what it serves and scored.

    Scores are those of what a variant served at each arrival since it began. Variants that began at different
    positions have scored different nodes.
    """
    return VariantList(variants=[_shown(state) for state in await context.variants.all()])


def _shown(state: VariantState) -> VariantStatus:
    found, report = state.overview, state.overview.report
    served = report.served if report is not None else None
    return VariantStatus(
        name=state.name,
        alive=found.alive,
        position=found.position,
        behind_events=found.behind,
        needs_log_after=state.needs,
        version=served.version if served is not None else None,
        student=served.student if served is not None else None,
        students=[student.name for student in report.students] if report is not None else [],
        score=report.served_score if report is not None else None,
        memory_used=report.memory.used if report is not None and report.memory is not None else None,
    )
