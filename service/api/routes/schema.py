"""Reading and declaring the graph's schema."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import ValidationError

from service.api.body import JSON, media_type, read_body
from service.api.context import Ctx
from service.api.errors import REDIS_DOWN, invalid, problem_docs
from service.api.models import SchemaChange
from service.problems import INVALID_REQUEST, SCHEMA_CONFLICT, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, Problem
from service.schema import HeldSchema, SchemaConflict

router = APIRouter(tags=["schema"])

_MAX_BODY_BYTES = 2**20
_DECLARED = {"feature_width": 500, "classes": ["a", "b"], "directed": False, "edge_lifetime": None}
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
    try:
        change = SchemaChange.model_validate_json(await read_body(request, _MAX_BODY_BYTES))
    except ValidationError as error:
        items = [{"field": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
        raise invalid(INVALID_REQUEST, items) from None
    try:
        return await context.log.declare(change)
    except SchemaConflict as error:
        raise Problem(SCHEMA_CONFLICT, str(error)) from None
