"""The last versions, a model card of each, and which one is served."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from olad_core.events import VersionChange
from service.api.body import JSON, key_of, read_json
from service.api.context import Context, Ctx
from service.api.idempotency import IdempotencyKey, accepted, key_reused
from service.api.variants import Variant, answered_by
from service.model_card import markdown
from service.models import ModelCard, PinAsked, VersionChangeAccepted
from service.problems import UNKNOWN_VERSION, Problem
from service.store.log_writer import KeyReused
from service.store.status import VersionsStatus
from service.variant_names import DEFAULT_VARIANT

router = APIRouter(tags=["versions"])

_MARKDOWN = "text/markdown"
_MAX_BODY_BYTES = 2**16
_NONE = VersionsStatus(served=None, pinned=None, rolled_back=False, rollback_to=None, versions=(), configuration=None)


@router.get(
    "/versions",
    operation_id="getVersions",
    summary="The last versions",
    response_description="Newest first, with which one is served and pinned.",
)
async def get_versions(context: Ctx, variant: Variant = None) -> VersionsStatus:
    """What each was made of and why, from where it was served, and what it scored meanwhile.

    Weights are refined many times a second. A version gets a new number with another student, other classes, a drift,
    or after 1,000 training steps; until then it is refined. As the worker last reported, once a second.
    """
    return await answered_by(context, variant, _versions)


@router.get(
    "/versions/{number}",
    operation_id="getVersion",
    summary="The model card of a version",
    response_model=ModelCard,
    response_description="Data, configuration and scores of the version.",
)
async def get_version(
    request: Request,
    context: Ctx,
    number: Annotated[int, Path(ge=1, le=2**53, description="Of a version that is kept.")],
    format: Annotated[  # noqa: A002
        Literal["json", "markdown"] | None,
        Query(description="`markdown` for people; without it, what `Accept` asks for."),
    ] = None,
    variant: Variant = None,
) -> Response:
    """Data, configuration, scores by class, calibration and drift, as JSON or Markdown (`Accept: text/markdown`)."""
    versions = await answered_by(context, variant, _versions)
    kept = next((each for each in versions.versions if each.version == number), None)
    if kept is None:
        raise _not_kept(number, versions)
    card = ModelCard(
        graph=context.graph,
        pinned=versions.pinned == number,
        version=kept,
        configuration=versions.configuration,
        serving=versions.serving if versions.served == number else None,
    )
    if format == "markdown" or (format is None and _MARKDOWN in request.headers.get("accept", "")):
        return Response(markdown(card), media_type=f"{_MARKDOWN}; charset=utf-8", headers={"Vary": "Accept"})
    return Response(card.model_dump_json(), media_type=JSON, headers={"Vary": "Accept"})


@router.put(
    "/versions/pinned",
    operation_id="pinVersion",
    status_code=202,
    summary="Serve one version whatever is learned",
    response_model=VersionChangeAccepted,
    response_description="The change is in the log and will be applied.",
)
async def pin_version(
    request: Request, context: Ctx, idempotency_key: IdempotencyKey = None, variant: Variant = None
) -> Response:
    """The version is embedded on the graph as it is now, and swapped in at once for all readers. Training goes on.

    The change is an entry of the log, so a replay repeats it. Where the version is gone by then, the entry is among
    the rejected events.
    """
    wanted = await read_json(PinAsked, request, _MAX_BODY_BYTES)

    async def change(asked: Context) -> Response:
        versions = await _versions(asked)
        if wanted.version not in {each.version for each in versions.versions}:
            raise _not_kept(wanted.version, versions)
        return await _append(request, asked, _change(asked, "pin", wanted.version), wanted.version, idempotency_key)

    return await answered_by(context, variant, change)


@router.delete(
    "/versions/pinned",
    operation_id="unpinVersion",
    status_code=202,
    summary="Serve the best student or the group again",
    response_model=VersionChangeAccepted,
    response_description="The change is in the log and will be applied.",
)
async def unpin_version(
    request: Request, context: Ctx, idempotency_key: IdempotencyKey = None, variant: Variant = None
) -> Response:
    """The next version is of the student or the group that is the best then, with the newest weights.

    Where nothing is pinned, it has no effect.
    """

    async def change(asked: Context) -> Response:
        await _versions(asked)
        return await _append(request, asked, _change(asked, "unpin"), None, idempotency_key)

    return await answered_by(context, variant, change)


@router.post(
    "/versions/rollback",
    operation_id="rollBack",
    status_code=202,
    summary="Go back to before the last switch of student",
    response_model=VersionChangeAccepted,
    response_description="The change is in the log and will be applied.",
)
async def roll_back(
    request: Request, context: Ctx, idempotency_key: IdempotencyKey = None, variant: Variant = None
) -> Response:
    """Pins the newest version that is of another student than the served one and was made before it."""

    async def change(asked: Context) -> Response:
        versions = await _versions(asked)
        if versions.rollback_to is None:
            before = versions.pinned or versions.served
            named = f"from before version {before}" if before is not None else "yet"
            raise Problem(UNKNOWN_VERSION, f"no version of another student is kept {named}")
        return await _append(request, asked, _change(asked, "rollback"), versions.rollback_to, idempotency_key)

    return await answered_by(context, variant, change)


async def _versions(context: Context) -> VersionsStatus:
    status = await context.worker.report()
    return status.kept if status is not None and status.kept is not None else _NONE


def _change(context: Context, action: Literal["pin", "unpin", "rollback"], version: int | None = None) -> VersionChange:
    """The entry of the log: it names the variant, so that it is about that one whichever is the champion then."""
    of = None if context.variant == DEFAULT_VARIANT else context.variant
    return VersionChange(action=action, version=version, variant=of)


def _not_kept(number: int, versions: VersionsStatus) -> Problem:
    kept = ", ".join(str(each.version) for each in reversed(versions.versions)) or "none"
    return Problem(UNKNOWN_VERSION, f"version {number} is not kept: {kept} are")


async def _append(
    request: Request, context: Context, change: VersionChange, version: int | None, idempotency_key: str | None
) -> Response:
    key = idempotency_key.encode() if idempotency_key else None
    try:
        done = await context.log.change_version(change, key, key_of(request))
    except KeyReused as error:
        raise key_reused(error, "change") from None
    return accepted(request, done, version=version)
