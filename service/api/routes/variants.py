"""The workers on one graph, side by side, and which of them is the champion."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from service.api.body import client_of
from service.api.context import Context, Ctx
from service.api.routes.predict import TimeoutMs
from service.api.variant_status import deciding_metric, variant_status
from service.api.variants import unknown_variant, variant_named
from service.api.waiting import DEFAULT_TIMEOUT_MS, Patience
from service.models import PromotionStatus, VariantList, VariantPromoted, VariantRemoved
from service.problems import NOT_PROMOTED, VARIANT_IN_USE, Problem
from service.store.champion import NotPromoted, Promotion
from service.store.positions import parse_position
from service.store.variant_stores import VariantStores
from service.store.variants import VariantInUse
from service.variant_names import DEFAULT_VARIANT, VARIANT_NAME

router = APIRouter(tags=["variants"])

_SHOWN = 10
"""Changes of the champion that are listed."""
Name = Annotated[str, Path(pattern=VARIANT_NAME, description="Name of the variant.", examples=["wide"])]


@router.get(
    "/variants",
    operation_id="getVariants",
    summary="The variants of the graph",
    response_description="The default one first.",
)
async def get_variants(context: Ctx) -> VariantList:
    """Workers on the same log, each under a configuration of its own: how far each is, what it serves and scored.

    `champion` is the one that answers where a request names none. Scores are those of what a variant served at each
    arrival since it began. Variants that began at different positions have scored different nodes; `comparison` is on
    the nodes that both have scored.
    """
    states, champion = await context.variants.all(), await context.champion.name()
    names = {state.name for state in states}
    others = sorted(names - {champion}) if champion in names else []
    compared = await context.comparisons.of(others, champion)
    reports = {state.name: state.overview.report for state in states}
    metric = deciding_metric(reports.get(champion))
    promotions = await context.champion.promotions()
    return VariantList(
        champion=champion,
        variants=[variant_status(state, compared.get(state.name), metric) for state in states],
        promotions=[_promotion(each) for each in reversed(promotions[-_SHOWN:])],
    )


@router.post(
    "/variants/{name}/promote",
    operation_id="promoteVariant",
    summary="Make a variant the champion",
    response_description="Requests that name no variant are answered by it from now on.",
)
async def promote_variant(
    request: Request, context: Ctx, name: Name, timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS
) -> VariantPromoted:
    """All readers go on to the variant in one step; `default` goes back, and `challenger` is the only other one.

    Its worker must be there and serve a version, and it must show no earlier position than readers have seen. It is
    waited for, up to `timeout_ms`, else the answer is 409. No read is refused, and no answer goes back in position.

    The change is an entry of the log and a decision, `variant-promoted`, which webhooks and streams report.
    """
    name = await variant_named(context, name)
    stores = await context.variants.named(name)
    if stores is None:
        raise unknown_variant(name)
    with Patience(request.receive, client_of(request), timeout_ms) as patience:
        done = await _promoted(context, patience, name, stores)
    context.variants.see_champion(name)
    if done is not None:
        return VariantPromoted(champion=name, before=done.before, position=done.position, log_position=done.entry)
    served = (await stores.predictions.read(())).visible
    return VariantPromoted(champion=name, before=name, position=served.position, log_position=None)


@router.delete(
    "/variants/{name}",
    operation_id="removeVariant",
    summary="Remove a variant whose worker has ended",
    response_description="It is gone.",
)
async def remove_variant(context: Ctx, name: Name) -> VariantRemoved:
    """Deletes its predictions, its status and its need of the log.

    It is refused while its worker is there, or was in the last 10 seconds. It is also refused of the champion, and of
    the default variant, whose worker archives the log for all.

    Its checkpoints stay in `checkpoints/GRAPH@NAME` of its data directory: delete them to begin it anew.
    """
    if name == DEFAULT_VARIANT:
        raise Problem(VARIANT_IN_USE, "the default variant trims and archives the log for all: it cannot be removed")
    try:
        removed = await context.variants.remove(name)
    except VariantInUse as error:
        raise Problem(VARIANT_IN_USE, str(error)) from None
    if not removed:
        raise unknown_variant(name)
    return VariantRemoved(removed=name)


async def _promoted(context: Context, patience: Patience, name: str, stores: VariantStores) -> Promotion | None:
    """Promote a variant as soon as it shows what readers have seen; None where it is the champion already.

    Raises:
        Problem: 409 where it cannot be the champion in time.
    """
    while True:
        try:
            return await context.champion.promote(name)
        except NotPromoted as refused:
            problem = _not_promoted(name, refused)
            if refused.wanted is None or not patience.left_s:
                raise problem from None
            with stores.watermark.waiter(parse_position(refused.wanted), patience.client) as shown:
                if not await patience.wait_for(shown):
                    raise problem from None


def _not_promoted(name: str, refused: NotPromoted) -> Problem:
    detail = f"variant {name} cannot be the champion now: {refused}"
    if refused.position is None:
        return Problem(NOT_PROMOTED, detail)
    return Problem(NOT_PROMOTED, detail, position=refused.position)


def _promotion(done: Promotion) -> PromotionStatus:
    return PromotionStatus(
        champion=done.variant, before=done.before, position=done.position, log_position=done.entry, time=done.time
    )
