"""The workers on one graph, side by side."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.context import Ctx
from service.api.variant_status import deciding_metric, variant_status
from service.models import VariantList
from service.variant_names import DEFAULT_VARIANT

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
    positions have scored different nodes; `comparison` is on the nodes that both have scored.
    """
    states, champion = await context.variants.all(), DEFAULT_VARIANT
    compared = await context.comparisons.of([state.name for state in states if state.name != champion], champion)
    reports = {state.name: state.overview.report for state in states}
    metric = deciding_metric(reports.get(champion))
    return VariantList(variants=[variant_status(state, compared.get(state.name), metric) for state in states])
