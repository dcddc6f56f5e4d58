"""The Open Inference Protocol v2 over HTTP: what KServe, Triton and others answer, of the served version.

The specification: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol. The protocol has
an OpenAPI document of its own, so these routes are not in that of the service. Errors have its form,
``{"error": "..."}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from olad_core.event_codec import malformed
from service.api.all_classes import lacks_classes, with_all_classes
from service.api.answers import not_found, prediction
from service.api.body import JSON, client_of, received
from service.api.context import Context, Ctx
from service.api.no_model import no_model
from service.api.variants import answered_by
from service.api.waiting import DEFAULT_TIMEOUT_MS, Patience, renewed, require_reached, until_visible
from service.problems import BAD_REQUEST, NOT_FOUND, TOO_LARGE, Problem
from service.store.positions import parse_position
from service.store.prediction_reader import Model, Snapshot
from service.store.redis_refusals import REDIS_ERRORS
from service.variant_names import VARIANT_NAME

MAX_NODES = 1_000
"""Nodes in one request at most; ``POST /predict`` takes more."""
MAX_CELLS = 100_000
"""Probabilities in one answer at most."""
_MAX_BODY_BYTES = 2**20
_NOT = 400
"""Status of a probe that fails, as the protocol has it."""


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] | None = None


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    name: Literal["label", "probabilities", "error"]
    parameters: dict[str, Any] | None = None


class _Parameters(msgspec.Struct):
    """Those of this service; the protocol lets a request have any others, which are ignored."""

    min_position: str | None = None
    timeout_ms: int = DEFAULT_TIMEOUT_MS


class _Inference(msgspec.Struct, forbid_unknown_fields=True):
    inputs: list[_Input]
    id: str | None = None
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)
    outputs: list[_Output] | None = None


_inference = msgspec.json.Decoder(_Inference)


class _Route(APIRoute):
    """A route whose errors have the form of the protocol."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handler(request)
            except Problem as problem:
                return _json({"error": problem.detail}, problem.kind.status, problem.headers)
            except REDIS_ERRORS:
                return _json({"error": "Redis cannot be used"}, 503, {"Retry-After": "1"})

        return handled


router = APIRouter(prefix="/v2", route_class=_Route, include_in_schema=False)


@router.get("")
async def get_server() -> Response:
    """Name and version of the server."""
    return _json({"name": "olad", "version": version("olad"), "extensions": []})


@router.get("/health/live")
async def get_live() -> Response:
    """Whether the process answers."""
    return _json({"live": True})


@router.get("/health/ready")
async def get_ready(context: Ctx) -> Response:
    """Whether the model can be asked."""
    ready = await _model(context, None) is not None
    return _json({"ready": ready}, 200 if ready else _NOT)


@router.get("/models/{name}/ready")
async def get_model_ready(context: Ctx, name: str) -> Response:
    """Whether the model of this name can be asked."""
    ready = await _model(context, _variant_in(context, name)) is not None
    return _json({"name": name, "ready": ready}, 200 if ready else _NOT)


@router.get("/models/{name}")
async def get_model(context: Ctx, name: str) -> Response:
    """What the model takes and answers."""
    model = await _model(context, _variant_in(context, name))
    classes = list(model.classes) if model is not None else []
    body = {
        "name": name,
        "versions": [] if model is None else [str(model.version)],
        "platform": "olad",
        "inputs": [{"name": "node", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": [-1, len(classes) if classes else -1],
                "parameters": {"classes": classes},
            },
            {"name": "error", "datatype": "BYTES", "shape": [-1]},
        ],
    }
    return _json(body)


@router.post("/models/{name}/infer")
async def post_inference(request: Request, context: Ctx, name: str) -> Response:
    """The predictions of nodes, whose ids are the input ``node``.

    A node that is not in the graph has the label "", probabilities of 0, and "not-found" in ``error``.
    """
    variant = _variant_in(context, name)
    async with received(request, _MAX_BODY_BYTES) as body:
        asked = _parsed(request, body)
    nodes = _nodes_of(asked.inputs)
    shown = [output.name for output in asked.outputs or ()] or ["label", "probabilities", "error"]
    with Patience(request.receive, client_of(request), asked.parameters.timeout_ms) as patience:

        async def answer(of: Context) -> dict[str, Any]:
            snapshot, model = await _read(of, patience, nodes, asked.parameters.min_position, shown)
            return _answer(name, asked.id, nodes, snapshot, model, shown, of.named)

        found = await answered_by(context, variant, answer)
    context.metrics.predictions.inc(len(nodes))
    return _json(found)


async def _read(
    context: Context, patience: Patience, nodes: Sequence[str], min_position: str | None, shown: Sequence[str]
) -> tuple[Snapshot, Model]:
    wanted = await until_visible(context, patience, min_position)
    snapshot = await context.readers.read(nodes, 0, wanted)
    top: Literal["all"] | None = "all" if "probabilities" in shown else None
    if lacks_classes(snapshot, top):
        snapshot = await with_all_classes(context, patience, nodes, snapshot, top)
    else:
        snapshot = await renewed(context, patience, nodes, snapshot, wanted)
    if snapshot.model is None:
        raise await no_model(context)
    require_reached(context, nodes, snapshot, wanted)
    if len(nodes) * len(snapshot.model.classes) > MAX_CELLS:
        most = max(1, MAX_CELLS // len(snapshot.model.classes))
        raise Problem(TOO_LARGE, f"{MAX_CELLS:,} probabilities at most: ask for {most:,} nodes at once")
    return snapshot, snapshot.model


def _answer(
    name: str,
    request_id: str | None,
    nodes: Sequence[str],
    snapshot: Snapshot,
    model: Model,
    shown: Sequence[str],
    named: Mapping[str, str],
) -> dict[str, Any]:
    found = [
        not_found(node, model, moment)
        if row is None
        else prediction(node, row, model, moment, "all" if "probabilities" in shown else None)
        for node, row, moment in zip(nodes, snapshot.rows, snapshot.moments, strict=True)
    ]
    none = dict.fromkeys(model.classes, 0.0)
    count = len(nodes)
    tensors: dict[str, tuple[str, list[int], list[Any]]] = {
        "label": ("BYTES", [count], [each["label"] or "" for each in found]),
        "probabilities": (
            "FP32",
            [count, len(model.classes)],
            [share for each in found for share in each.get("probabilities", none).values()],
        ),
        "error": ("BYTES", [count], [each.get("error", "") for each in found]),
    }
    outputs = [
        {"name": each, "datatype": kind, "shape": shape, "data": data}
        for each, (kind, shape, data) in tensors.items()
        if each in shown
    ]
    parameters: dict[str, Any] = {"student": model.student, **named}
    if found:
        # All rows show the log up to there.
        parameters["position"] = min((each["position"] for each in found), key=parse_position)
        parameters["behind"] = max(each["behind"] for each in found)
    answer = {"model_name": name, "model_version": str(model.version), "outputs": outputs, "parameters": parameters}
    return answer if request_id is None else {"id": request_id, **answer}


def _parsed(request: Request, body: bytes) -> _Inference:
    if "inference-header-content-length" in request.headers:
        raise Problem(BAD_REQUEST, "the extension of binary tensors is not supported: send the data as JSON")
    try:
        return _inference.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(BAD_REQUEST, malformed(body) or str(error)) from None


def _nodes_of(inputs: Sequence[_Input]) -> list[str]:
    """Ids in the only input.

    Raises:
        Problem: 400 where it is not what it must be, 413 where they are too many.
    """
    if len(inputs) != 1 or inputs[0].name != "node":
        raise Problem(BAD_REQUEST, "one input is needed, `node`, with the ids of nodes")
    (given,) = inputs
    if given.datatype not in {"BYTES", "INT64"}:
        raise Problem(BAD_REQUEST, f"the input `node` is of the datatype BYTES or INT64, not {given.datatype}")
    data = [each[0] if isinstance(each, list) and len(each) == 1 else each for each in given.data]
    if given.shape not in ([len(data)], [len(data), 1]):
        raise Problem(BAD_REQUEST, f"the shape {given.shape} does not fit the {len(data)} ids: write [{len(data)}]")
    if any(isinstance(each, bool) or not isinstance(each, str | int) or each == "" for each in data):
        raise Problem(BAD_REQUEST, "an id is a text or an integer, and not empty")
    if len(data) > MAX_NODES:
        raise Problem(TOO_LARGE, f"{len(data):,} nodes, {MAX_NODES:,} at most: POST /predict takes more")
    return [str(each) for each in data]


def _variant_in(context: Context, name: str) -> str | None:
    """The variant that the name of a model asks: ``GRAPH@VARIANT``; None for the graph's name alone.

    Raises:
        Problem: 404 where it is of no such form.
    """
    graph, sign, variant = name.partition("@")
    if graph != context.graph or (sign and not re.fullmatch(VARIANT_NAME, variant)):
        detail = f"there is no model {name!r}; that of this service is {context.graph!r}, of a variant "
        raise Problem(NOT_FOUND, f"{detail}{context.graph + '@NAME'!r}")
    return variant if sign else None


async def _model(context: Context, variant: str | None) -> Model | None:
    async def answer(asked: Context) -> Model | None:
        return (await asked.readers.read([])).model

    return await answered_by(context, variant, answer)


def _json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, JSON)
