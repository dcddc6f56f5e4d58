"""Reading and declaring the graph's schema, and setting its clock."""

from __future__ import annotations

from fastapi import APIRouter, Request

from olad_core.events import ClockSetting
from olad_core.schema import HeldSchema, SchemaConflict, TooManyClasses
from service.api.body import read_json
from service.api.context import Ctx
from service.api.errors import too_many_classes
from service.models import ClockSet, SchemaChange
from service.problems import SCHEMA_CONFLICT, Problem

router = APIRouter(tags=["schema"])

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
    change = await read_json(SchemaChange, request, _MAX_BODY_BYTES)
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
    setting = await read_json(ClockSetting, request, _MAX_BODY_BYTES)
    position = await context.log.set_clock(setting)
    request.state.position = position
    return ClockSet(position=position)
