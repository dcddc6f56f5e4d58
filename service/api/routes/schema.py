"""Reading and declaring the graph's schema, and setting its clock."""

from __future__ import annotations

from typing import TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, ValidationError

from olad_core.events import ClockSetting
from olad_core.schema import HeldSchema, SchemaConflict, TooManyClasses
from service.api.body import JSON, media_type, received
from service.api.context import Ctx
from service.api.errors import invalid, too_many_classes
from service.models import ClockSet, SchemaChange
from service.problems import (
    INVALID_REQUEST,
    SCHEMA_CONFLICT,
    Problem,
)

router = APIRouter(tags=["schema"])

_Model = TypeVar("_Model", bound=BaseModel)

_MAX_BODY_BYTES = 2**20


@router.get(
    "/schema",
    operation_id="getSchema",
    summary="The graph's schema",
    response_description="What is declared or held.",
)
async def get_schema(context: Ctx) -> HeldSchema:
    """What was declared, and the feature width that the first features fixed.

    `classes` are the declared ones; all classes seen so far are in `GET /status` under `worker.graph.classes`.
    """
    return await context.log.schema()


@router.put(
    "/schema",
    operation_id="declareSchema",
    summary="Declare the graph's schema",
    response_description="The schema from now on.",
)
async def put_schema(request: Request, context: Ctx) -> HeldSchema:
    """Every field is optional and stays as it is when left out; classes are added to, never removed.

    The width cannot change once features have arrived, `directed` not after the first event.
    """
    media_type(request, (JSON,))
    change = await _parsed(SchemaChange, request)
    try:
        return await context.log.declare(change)
    except SchemaConflict as error:
        raise Problem(SCHEMA_CONFLICT, str(error)) from None
    except TooManyClasses as error:
        raise too_many_classes(error) from None


@router.put(
    "/clock",
    operation_id="setClock",
    status_code=202,
    summary="Set the graph's clock",
    response_model=ClockSet,
    response_description="The setting is in the log and will be applied.",
)
async def put_clock(request: Request, context: Ctx) -> ClockSet:
    """Where a wrong `ts` has moved the latest time far ahead, set it back; or forward, where time has really gone on.

    Edges whose time is later become of this time. Edges that have left do not come back.
    """
    media_type(request, (JSON,))
    setting = await _parsed(ClockSetting, request)
    position = await context.log.set_clock(setting)
    request.state.position = position
    return ClockSet(position=position)


async def _parsed(model: type[_Model], request: Request) -> _Model:
    """The body as it was asked for, or the answer 422: a text or a truth value is no number."""
    try:
        async with received(request, _MAX_BODY_BYTES) as body:
            return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        items = [{"field": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
        raise invalid(INVALID_REQUEST, items) from None
