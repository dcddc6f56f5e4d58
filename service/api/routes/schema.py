"""Reading and declaring the graph's schema, and setting its clock."""

from __future__ import annotations

from typing import TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, ValidationError

from olad_core.events import ClockSetting
from olad_core.schema import HeldSchema, SchemaConflict, TooManyClasses
from service.api.body import JSON, media_type, received
from service.api.context import Ctx
from service.api.errors import REDIS_DOWN, TOO_MANY_CLASSES_DETAIL, invalid, problem_docs, too_many_classes
from service.api.models import ClockSet, SchemaChange
from service.problems import (
    INVALID_REQUEST,
    SCHEMA_CONFLICT,
    TOO_LARGE,
    TOO_MANY_CLASSES,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
)

router = APIRouter(tags=["schema"])

_Model = TypeVar("_Model", bound=BaseModel)

_MAX_BODY_BYTES = 2**20
_DECLARED = {
    "feature_width": 500,
    "classes": ["a", "b"],
    "directed": False,
    "edge_lifetime": None,
    "ts_ahead_max": None,
}
_POSITION = "1763900000000-0"
_EXAMPLE = {JSON: {"example": {**_DECLARED, "feature_width_held": True}}}


@router.get(
    "/schema",
    summary="The graph's schema",
    response_description="What is declared or held.",
    responses={200: {"content": _EXAMPLE}, **problem_docs(REDIS_DOWN)},
)
async def get_schema(context: Ctx) -> HeldSchema:
    """What was declared, and the feature width that the first features fixed.

    `classes` are the declared ones; all that have been seen stand in `GET /status` under `worker.graph.classes`.
    """
    return await context.log.schema()


@router.put(
    "/schema",
    summary="Declare the graph's schema",
    response_description="The schema from now on.",
    responses={
        200: {"content": _EXAMPLE},
        **problem_docs(
            (SCHEMA_CONFLICT, "feature_width is 3, but features of width 500 have arrived", {}),
            (TOO_LARGE, "the body has more than the 1,048,576 bytes that are allowed; send it in parts", {}),
            (UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json, not text/plain", {}),
            (TOO_MANY_CLASSES, TOO_MANY_CLASSES_DETAIL, {}),
            (
                INVALID_REQUEST,
                "field feature_width: Input should be greater than or equal to 1",
                {
                    "errors": [
                        {"field": "feature_width", "message": "Input should be greater than or equal to 1"},
                    ],
                    "total_errors": 1,
                },
            ),
            REDIS_DOWN,
        ),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/SchemaChange"}, "example": _DECLARED}},
        }
    },
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
    status_code=202,
    summary="Set the graph's clock",
    response_model=ClockSet,
    response_description="The setting stands in the log and will be applied.",
    responses={
        202: {"content": {JSON: {"example": {"position": _POSITION}}}},
        **problem_docs(
            (TOO_LARGE, "the body has more than the 1,048,576 bytes that are allowed; send it in parts", {}),
            (UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json, not text/plain", {}),
            (
                INVALID_REQUEST,
                "field time: Field required",
                {"errors": [{"field": "time", "message": "Field required"}], "total_errors": 1},
            ),
            REDIS_DOWN,
        ),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/ClockSetting"}, "example": {"time": 2010.0}}},
        }
    },
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
    """The body as it was asked for, or the answer 422."""
    try:
        async with received(request, _MAX_BODY_BYTES) as body:
            return model.model_validate_json(body)
    except ValidationError as error:
        items = [{"field": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
        raise invalid(INVALID_REQUEST, items) from None
