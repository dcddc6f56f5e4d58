"""Reading predictions."""

from __future__ import annotations

import contextlib
import itertools
import re
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote_to_bytes

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.types import Scope

from olad_core.config import PUBLISHED_CLASSES, PUBLISHED_WHOLE
from olad_core.graph_types import MAX_TYPE_BYTES
from service.api.all_classes import lacks_classes, with_all_classes
from service.api.answers import (
    All,
    PartsResponse,
    answer_parts,
    one_answer,
    prediction,
    require_few_cells,
    shown_classes,
    too_many_cells,
)
from service.api.arrow import ARROW, arrow_parts, wants_arrow
from service.api.body import JSON, client_of, decoded, media_type, received, too_much, undecodable
from service.api.context import Context, Ctx
from service.api.document.examples import POSITION
from service.api.errors import invalid
from service.api.no_model import no_model
from service.api.node_values import default_task, value_of_node, values_of_nodes
from service.api.past import past_prediction
from service.api.variants import Variant, answered_by
from service.api.waiting import DEFAULT_TIMEOUT_MS, Patience, renewed, require_reached, until_visible
from service.models import (
    MAX_BODY_BYTES,
    MAX_NODES,
    MAX_VALUED_NODES,
    NodeValuePrediction,
    NodeValues,
    Prediction,
    PredictionList,
)
from service.problems import (
    INVALID_REQUEST,
    NO_MEMORY_FREE,
    TOO_MUCH_AT_ONCE,
    UNKNOWN_NODE,
    Problem,
)
from service.shares import NoShare
from service.slices import in_slices
from service.store.positions import PositionPair
from service.store.prediction_reader import Model, RowsTooLarge, Snapshot
from service.store.rows import BYTES_PER_VALUE

router = APIRouter(tags=["predictions"])

_LARGE_BODY_BYTES = 256 * 2**10
_MAX_ROWS_BYTES = 16_000_000
"""Of rows that are read at once: Redis answers nobody else meanwhile, for some 10 ms."""
_SMALL_CELLS = 20_000
_TEXT_OR_COMMA = re.compile(rb'"(?:[^"\\]++|\\.)*+"|,', re.DOTALL)


class _NodeConvertor(StringConvertor):
    """Any text, line breaks and slashes included."""

    regex = r"[\s\S]*"


register_url_convertor("node", _NodeConvertor())


class _NodesAsked(msgspec.Struct, forbid_unknown_fields=True):
    nodes: Annotated[list[Annotated[str, msgspec.Meta(min_length=1)] | int], msgspec.Meta(max_length=MAX_NODES)]


_asked = msgspec.json.Decoder(_NodesAsked)
MinPosition = Annotated[
    str | None,
    Query(
        description="Wait until predictions show this position of the log, as `POST /events` answered it.",
        examples=[POSITION],
        json_schema_extra={"pattern": "^[0-9]{1,20}(-[0-9]{1,20})?$"},
    ),
]
TimeoutMs = Annotated[
    int,
    Query(
        ge=0,
        le=60_000,
        description=(
            "How long to wait in all: for `min_position`, before a 504, and for predictions to be brought up to date."
        ),
    ),
]

At = Annotated[
    str | None,
    Query(
        description="A position that predictions have shown: the answer is what was served then.",
        examples=[POSITION],
        json_schema_extra={"pattern": "^[0-9]{1,20}(-[0-9]{1,20})?$"},
    ),
]

Top = Annotated[
    Annotated[int, Field(ge=1)] | Literal["all"] | None,
    Query(
        description=(
            f"Only so many of the most likely classes in `probabilities`, the likeliest first; `all` for every class. "
            f"Left out: all, or {PUBLISHED_CLASSES} where the graph has more than {PUBLISHED_WHOLE} classes."
        ),
        examples=[3],
    ),
]

Task = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=MAX_TYPE_BYTES,
        description="The `node_value` task whose value is asked for. Left out: the classes of the node; its value "
        "where the graph has such a task, and no classes.",
    ),
]


@router.get(
    "/predict/{node:node}",
    operation_id="predictNode",
    summary="Predict one node",
    response_model=Prediction | NodeValuePrediction,
    response_description="The prediction of the served student, or of a task on values of nodes.",
)
async def get_prediction(
    request: Request,
    context: Ctx,
    node: Annotated[str, Path(description="The node's id, percent-encoded.", examples=["p1"])],
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    top: Top = None,
    at: At = None,
    variant: Variant = None,
    task: Task = None,
) -> Response:
    """The class probabilities of a node, as the served version of the best student sees the graph.

    `disagreement` says how far the members of the group differ about it, from 0 to 1.
    `position` says up to which log entry the graph was known and `behind` how many events wait after it.
    A prediction that recent events reach from afar may be held as it was before them. It is brought up to date when
    it is asked for. Where that takes longer than `timeout_ms`, the answer is the earlier one, at its own position.

    Where the graph has more than 64 classes, the answer shows the 32 most likely ones, the likeliest first, and `rest`
    is the probability of all others. More of them, or `top=all`, are computed when they are asked for. Where the
    worker does not answer within `timeout_ms`, the answer is 503 then.

    With `at` the answer is what was served when predictions showed that position of the log, the last one before
    they showed a later one. It needs `OLAD_HISTORY_ROWS`; beyond what is kept the answer is 410.

    Where the graph has a task on values of nodes, the answer with `task` is the value of the node with an interval,
    computed by the worker from what is around the node at `position`. `top` and `at` are for classes alone.
    """
    name = path_text(request.scope, "/predict/", node, "node")
    if task is not None:
        _require_plain(top=top, at=at)
    if at is not None and min_position is not None:
        raise invalid(INVALID_REQUEST, [{"field": "at", "message": "cannot be asked for with min_position"}])
    with Patience(request.receive, client_of(request), timeout_ms) as patience:

        async def answer(asked: Context) -> dict[str, Any]:
            if at is not None:
                return await past_prediction(asked, name, at, top)
            return await _one(asked, patience, name, min_position, top, task)

        body = await answered_by(context, variant, answer, name)
    return one_answer(request, msgspec.json.encode(body))


async def _one(
    context: Context, patience: Patience, node: str, min_position: str | None, top: int | All | None, task: str | None
) -> dict[str, Any]:
    wanted = await until_visible(context, patience, min_position, (node,))
    if task is not None:
        return await value_of_node(context, patience, node, task)
    snapshot = await context.readers.read_one(node, wanted)
    if snapshot.model is None and await default_task(context) is not None:
        return await value_of_node(context, patience, node, None)
    if lacks_classes(snapshot, top):
        snapshot = await with_all_classes(context, patience, (node,), snapshot, top)
    else:
        snapshot = await renewed(context, patience, (node,), snapshot, wanted)
    model = await _model_of(context, snapshot)
    context.metrics.predictions.inc()
    (row,), (moment,) = snapshot.rows, snapshot.moments
    if row is None:
        detail = f"node {node!r} is not in the graph at this position"
        raise Problem(UNKNOWN_NODE, detail, position=moment.position, behind=moment.behind)
    require_reached(context, (node,), snapshot, wanted)
    return prediction(node, row, model, moment, top, context.named)


ONE_NODE = next(route for route in router.routes if getattr(route, "endpoint", None) is get_prediction)
"""The route of :func:`get_prediction`."""


@router.post(
    "/predict",
    operation_id="predictNodes",
    summary="Predict many nodes",
    response_model=PredictionList | NodeValues,
    response_description="One answer each, in order, all of one version; or values, all of one position.",
    # The stream is in the description alone: with a second type of content, generated clients answer a union.
)
async def post_predictions(
    request: Request,
    context: Ctx,
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    top: Top = None,
    variant: Variant = None,
    task: Task = None,
) -> Response:
    """Up to 10,000 nodes at once. A node that is not in the graph has `"label": null` and `"error": "not-found"`.

    An answer holds 1,000,000 probabilities at most: with many classes ask for fewer nodes, or for fewer classes of
    each with `top`.

    With `Accept: application/vnd.apache.arrow.stream` the answer is an Arrow stream, for large answers several times
    smaller and faster than JSON. Its columns are `node`, `label`, `probabilities` (a fixed-size list of float32 in the
    order of the classes), `disagreement`, `position`, `behind` and `error`. With `top`, and with more than 64 classes
    unless `top=all` is asked for, the list has the likeliest classes, and the column `classes` their numbers. With more
    than 64 classes the column `rest` has the probability of those that are not shown. The metadata of its schema has
    `student`, `model_version` and `classes`, a JSON array.

    With `task`, a task on values of nodes, the answer has the values of up to 1,000 nodes, all of one position, as
    JSON. A node without a value has an `error`: `not-found`, `no-task`, `no-model` or `too-large`.
    """
    media_type(request, (JSON,))
    if task is not None:
        _require_plain(top=top)
        if wants_arrow(request):
            raise invalid(INVALID_REQUEST, [{"field": "task", "message": "values are answered as JSON alone"}])
    async with received(request, MAX_BODY_BYTES) as body:
        with Patience(request.receive, client_of(request), timeout_ms) as patience:
            if min_position is not None:
                _nodes_in(request, body)

            async def answer(asked: Context) -> Response:
                wanted = await until_visible(asked, patience, min_position)
                if task is not None or (asked.readers.model is None and await _by_value(request, asked)):
                    return await _values(request, asked, body, task, patience)
                if _is_small(asked, body, top):
                    return await _answer(request, asked, body, top, patience, wanted)
                try:
                    with asked.answers.take(client_of(request)):
                        async with asked.large_answers:
                            return await _answer(request, asked, body, top, patience, wanted)
                except NoShare as error:
                    raise _too_many_answers(error) from None

            return await answered_by(context, variant, answer)


async def _by_value(request: Request, context: Context) -> bool:
    """Whether nodes are answered by their values where no task is named."""
    return not wants_arrow(request) and await default_task(context) is not None


async def _values(request: Request, context: Context, body: bytes, task: str | None, patience: Patience) -> Response:
    """The values of the nodes that are asked for.

    Raises:
        Problem: 422 where these are too many.
    """
    asked = _nodes_in(request, body)
    if len(asked) > MAX_VALUED_NODES:
        raise invalid(INVALID_REQUEST, [{"field": "nodes", "message": f"at most {MAX_VALUED_NODES:,} with a task"}])
    return one_answer(request, msgspec.json.encode(await values_of_nodes(context, patience, asked, task)))


async def _answer(
    request: Request,
    context: Context,
    body: bytes,
    top: int | All | None,
    patience: Patience,
    wanted: PositionPair | None,
) -> Response:
    asked = _nodes_in(request, body)
    nodes = [str(node) for node in asked]
    try:
        snapshot = await context.readers.read(nodes, _MAX_ROWS_BYTES, wanted)
        if lacks_classes(snapshot, top):
            snapshot = await with_all_classes(context, patience, nodes, snapshot, top)
        else:
            snapshot = await renewed(context, patience, nodes, snapshot, wanted, _MAX_ROWS_BYTES)
    except RowsTooLarge as error:
        cells = _MAX_ROWS_BYTES // BYTES_PER_VALUE
        most = f"at most {max(1, cells // error.classes):,} nodes at once"
        raise too_many_cells(len(asked), error.classes, cells, most) from None
    model = await _model_of(context, snapshot)
    require_few_cells(snapshot, model, top)
    require_reached(context, nodes, snapshot, wanted)
    context.metrics.predictions.inc(len(asked))
    with contextlib.ExitStack() as held:
        try:
            share = held.enter_context(context.memory.take(client_of(request), 0))
            make, kind = (arrow_parts, ARROW) if wants_arrow(request) else (answer_parts, JSON)
            parts = await in_slices(make(asked, snapshot, model, top, share, context.named))
        except NoShare as error:
            raise too_much(error) from None
        return PartsResponse(parts, held.pop_all(), kind)


def _require_plain(**of_classes: object) -> None:
    """See that nothing is asked for that classes alone have.

    Raises:
        Problem: 422 naming it.
    """
    wrong = [name for name, value in of_classes.items() if value is not None]
    if wrong:
        raise invalid(INVALID_REQUEST, [{"field": name, "message": "cannot be asked for with task"} for name in wrong])


def _nodes_in(request: Request, body: bytes) -> list[str | int]:
    """The nodes that are asked for.

    Raises:
        Problem: 422 where the body is not what it must be.
    """
    if len(body) > _LARGE_BODY_BYTES and _has_too_many(body):
        error = msgspec.ValidationError(f"Expected `array` of length <= {MAX_NODES} - at `$.nodes`")
        raise undecodable(_asked, request, body, error)
    return decoded(_asked, request, body).nodes


def _has_too_many(body: bytes) -> bool:
    """Whether there are more texts and commas than so many ids need; a decoder would make all of them first."""
    most = 2 * MAX_NODES + 8
    return sum(1 for _ in itertools.islice(_TEXT_OR_COMMA.finditer(body), most + 1)) > most


def _is_small(context: Context, body: bytes, top: int | All | None) -> bool:
    """Whether the answer can be made in a few milliseconds, whatever nodes are asked for."""
    model = context.readers.model
    if model is None or model.lacks(shown_classes(model, top)):
        return False
    return min(MAX_NODES, len(body) // 2) * (model.rows.held + 8) <= _SMALL_CELLS


def _too_many_answers(error: NoShare) -> Problem:
    kind = TOO_MUCH_AT_ONCE if error.own else NO_MEMORY_FREE
    detail = f"{error}: so many large answers are being made; ask again when others are done"
    return Problem(kind, detail, headers={"Retry-After": "1"})


def node_in(raw_path: bytes) -> str:
    """The id exactly as sent.

    Raises:
        Problem: 422 where the path names no node.
    """
    return _text_in(raw_path, b"/predict/", "node")


def _text_in(raw_path: bytes, before: bytes, field: str) -> str:
    """The text at the end of a path exactly as sent: the server's own decoding replaces what is no UTF-8.

    Args:
        raw_path: of the request.
        before: what stands before it.
        field: its name, for a problem.

    Raises:
        Problem: 422 where there is none.
    """
    raw = raw_path.partition(before)[2].partition(b"?")[0]
    try:
        text = (unquote_to_bytes(raw) if b"%" in raw else raw).decode()
    except UnicodeDecodeError:
        raise invalid(INVALID_REQUEST, [{"field": field, "message": "is not percent-encoded UTF-8"}]) from None
    if not text:
        raise invalid(INVALID_REQUEST, [{"field": field, "message": "must not be empty"}])
    return text


def path_text(scope: Scope, before: str, decoded: str, field: str) -> str:
    """The text at the end of the path of a request, exactly as sent.

    Args:
        scope: of the request.
        before: what stands before it.
        decoded: as the server decoded it.
        field: its name, for a problem.

    Raises:
        Problem: 422 where there is none.
    """
    # Some servers give no raw path; encoded again, the decoded one serves.
    raw_path = scope.get("raw_path") or (before + quote(decoded, safe="")).encode()
    return _text_in(raw_path, before.encode(), field)


async def _model_of(context: Context, snapshot: Snapshot) -> Model:
    if snapshot.model is None:
        raise await no_model(context)
    return snapshot.model
