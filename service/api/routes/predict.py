"""Reading predictions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import quote, unquote_to_bytes

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor

from olad_core.events import malformed
from service.api.body import JSON, media_type, read_body
from service.api.context import Context, Ctx
from service.api.errors import REDIS_DOWN, invalid, problem_docs
from service.api.models import MAX_NODES, Prediction, Predictions
from service.predictions import Model, Snapshot
from service.problems import (
    INVALID_REQUEST,
    NO_MODEL,
    POSITION_NOT_REACHED,
    TOO_LARGE,
    UNKNOWN_NODE,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
)
from service.stream import PositionPair, parse_position

router = APIRouter(tags=["predictions"])

_MAX_BODY_BYTES = 16 * 2**20


class _NodeConvertor(StringConvertor):
    """Any text, line breaks and slashes included."""

    regex = r"[\s\S]*"


register_url_convertor("node", _NodeConvertor())


class _NodesAsked(msgspec.Struct):
    nodes: Annotated[list[Annotated[str, msgspec.Meta(min_length=1)] | int], msgspec.Meta(max_length=MAX_NODES)]


_asked = msgspec.json.Decoder(_NodesAsked)
_PLAIN_POSITION = "1763900000000-0"
_ANSWER = {
    "node": "p1",
    "label": "physics",
    "probabilities": {"physics": 0.75, "biology": 0.25},
    "disagreement": 0.125,
    "student": "sage",
    "model_version": 7,
    "position": _PLAIN_POSITION,
    "behind": 0,
}
_MODEL_PROBLEMS = (
    (
        NO_MODEL,
        "No model has been published yet; missing: labels of at least two classes",
        {"missing": ["labels of at least two classes"]},
    ),
    REDIS_DOWN,
    (
        POSITION_NOT_REACHED,
        f"position 1763900000001-0 was not reached within 5000 ms; predictions show {_PLAIN_POSITION}",
        {"position": _PLAIN_POSITION},
    ),
)
_BAD_POSITION = (
    INVALID_REQUEST,
    "field min_position: 'x' is no position: milliseconds, or milliseconds-sequence as POST /events answers",
    {"errors": [{"field": "min_position", "message": "'x' is no position"}], "total_errors": 1},
)
MinPosition = Annotated[
    str | None,
    Query(
        description="Wait until predictions show this position of the log, as `POST /events` answered it.",
        examples=[_PLAIN_POSITION],
    ),
]
TimeoutMs = Annotated[int, Query(ge=0, le=60_000, description="How long to wait for `min_position` before a 504.")]


@router.get(
    "/predict/{node:node}",
    summary="Predict one node",
    response_model=Prediction,
    response_description="The prediction of the served student.",
    responses={
        200: {"content": {JSON: {"example": _ANSWER}}},
        **problem_docs(
            (UNKNOWN_NODE, "node 'p1' is not in the graph at this position", {"position": _PLAIN_POSITION}),
            _BAD_POSITION,
            *_MODEL_PROBLEMS,
        ),
    },
)
async def get_prediction(
    request: Request,
    context: Ctx,
    node: Annotated[str, Path(description="The node's id, percent-encoded.", examples=["p1"])],
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = 5_000,
) -> Response:
    """The class probabilities of a node, as the served version of the best student sees the graph.

    `disagreement` says how far the members of the group differ about it, from 0 to 1.
    `position` says up to which log entry the graph was known and `behind` how many events wait after it.
    """
    # Some servers give no raw path; encoded again, the decoded one serves.
    node = node_in(request.scope.get("raw_path") or b"/predict/" + quote(node, safe="").encode())
    snapshot = await _read_at(context, lambda: context.predictions.read_one(node), min_position, timeout_ms)
    model = await _model_of(context, snapshot)
    context.metrics.predictions.inc()
    (row,) = snapshot.rows
    if row is None:
        detail = f"node {node!r} is not in the graph at this position"
        raise Problem(UNKNOWN_NODE, detail, position=snapshot.position, behind=snapshot.behind)
    return Response(encoded_prediction(node, row, model, snapshot), media_type=JSON)


ONE_NODE = router.routes[-1]
"""The route of :func:`get_prediction`."""


@router.post(
    "/predict",
    summary="Predict many nodes",
    response_model=Predictions,
    response_description="One answer each, in order, all of one moment.",
    responses={
        200: {
            "content": {
                JSON: {
                    "example": {
                        "predictions": [
                            _ANSWER,
                            {
                                "node": 99,
                                "label": None,
                                "error": "not-found",
                                "student": "sage",
                                "model_version": 7,
                                "position": _PLAIN_POSITION,
                                "behind": 0,
                            },
                        ]
                    }
                }
            }
        },
        **problem_docs(
            (TOO_LARGE, "the body has more than the 16,777,216 bytes that are allowed; send it in parts", {}),
            (UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json, not text/plain", {}),
            (
                INVALID_REQUEST,
                "field nodes: Expected `array` of length <= 10000",
                {"errors": [{"field": "nodes", "message": "Expected `array` of length <= 10000"}], "total_errors": 1},
            ),
            *_MODEL_PROBLEMS,
        ),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": {"$ref": "#/components/schemas/NodesAsked"}, "example": {"nodes": ["p1", 99]}}
            },
        }
    },
)
async def post_predictions(
    request: Request, context: Ctx, min_position: MinPosition = None, timeout_ms: TimeoutMs = 5_000
) -> Response:
    """Up to 10,000 nodes at once. A node that is not in the graph has `"label": null` and `"error": "not-found"`."""
    media_type(request, (JSON,))
    try:
        body = await read_body(request, _MAX_BODY_BYTES)
        asked = _asked.decode(body).nodes
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message, _, path = (malformed(body) or str(error)).partition(" - at `$.")
        raise invalid(INVALID_REQUEST, [{"field": path.rstrip("`"), "message": message}]) from None
    names = [str(node) for node in asked]
    snapshot = await _read_at(context, lambda: context.predictions.read(names), min_position, timeout_ms)
    model = await _model_of(context, snapshot)
    context.metrics.predictions.inc(len(names))
    answers = [
        _prediction(node, row, model, snapshot) if row is not None else _not_found(node, model, snapshot)
        for node, row in zip(asked, snapshot.rows, strict=True)
    ]
    return Response(msgspec.json.encode({"predictions": answers}), media_type=JSON)


def node_in(raw_path: bytes) -> str:
    """The id exactly as sent: the server's own decoding replaces what is no UTF-8.

    Raises:
        Problem: 422 where the path names no node.
    """
    raw = raw_path.partition(b"/predict/")[2].partition(b"?")[0]
    try:
        node = (unquote_to_bytes(raw) if b"%" in raw else raw).decode()
    except UnicodeDecodeError:
        raise invalid(INVALID_REQUEST, [{"field": "node", "message": "is not percent-encoded UTF-8"}]) from None
    if not node:
        raise invalid(INVALID_REQUEST, [{"field": "node", "message": "must not be empty"}])
    return node


async def _read_at(
    context: Context, read: Callable[[], Awaitable[Snapshot]], min_position: str | None, timeout_ms: int
) -> Snapshot:
    """Read, at once or as soon as a position is visible."""
    snapshot = await read()
    if min_position is None:
        return snapshot
    try:
        wanted = parse_position(min_position)
    except ValueError as error:
        raise invalid(INVALID_REQUEST, [{"field": "min_position", "message": str(error)}]) from None
    if parse_position(snapshot.position) >= wanted:
        return snapshot
    context.metrics.waits.inc()
    snapshot = await _wait_and_read(context, read, wanted, timeout_ms)
    if parse_position(snapshot.position) < wanted:
        context.metrics.timeouts.inc()
        detail = (
            f"position {min_position} was not reached within {timeout_ms} ms; predictions show {snapshot.position}, "
            f"{snapshot.behind} events behind the log"
        )
        raise Problem(POSITION_NOT_REACHED, detail, position=snapshot.position, behind=snapshot.behind)
    return snapshot


async def _wait_and_read(
    context: Context, read: Callable[[], Awaitable[Snapshot]], wanted: PositionPair, timeout_ms: int
) -> Snapshot:
    """The first snapshot at a position, or the last one before the time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_ms / 1000
    while True:
        with context.watermark.waiter(wanted) as passed:
            # Only a read after the waiter is registered cannot miss the publication in between.
            snapshot = await read()
            if parse_position(snapshot.position) >= wanted:
                return snapshot
            try:
                async with asyncio.timeout_at(deadline):
                    await passed
            except TimeoutError:
                return await read()


async def _model_of(context: Context, snapshot: Snapshot) -> Model:
    if snapshot.model is None:
        missing = await context.missing_for_model()
        detail = f"No model has been published yet; missing: {', '.join(missing)}"
        raise Problem(NO_MODEL, detail, headers={"Retry-After": "1"}, missing=missing)
    return snapshot.model


def encoded_prediction(node: str, row: bytes, model: Model, snapshot: Snapshot) -> bytes:
    """The answer for one node, as JSON."""
    return msgspec.json.encode(_prediction(node, row, model, snapshot))


def _prediction(node: str | int, row: bytes, model: Model, snapshot: Snapshot) -> dict[str, Any]:
    *probabilities, disagreement = model.row.unpack(row)
    return {
        "node": node,
        "label": model.classes[probabilities.index(max(probabilities))],
        "probabilities": dict(zip(model.classes, probabilities, strict=True)),
        "disagreement": disagreement,
        "student": model.student,
        "model_version": model.version,
        "position": snapshot.position,
        "behind": snapshot.behind,
    }


def _not_found(node: str | int, model: Model, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "node": node,
        "label": None,
        "error": "not-found",
        "student": model.student,
        "model_version": model.version,
        "position": snapshot.position,
        "behind": snapshot.behind,
    }
