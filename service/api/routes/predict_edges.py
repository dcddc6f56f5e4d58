"""The classes or values of several edges, of one position, with features of those that are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response

from olad_core.event_codec import decode_json
from olad_core.events import GraphSchema, InvalidEvents, UpsertEdge
from olad_core.graph_types import RELATION, EdgeType
from service.api.answers import one_answer
from service.api.body import JSON, decoded, media_type, received
from service.api.context import Ctx
from service.api.edge_answers import edge_fields
from service.api.errors import invalid
from service.api.questions import answer_in_time
from service.api.routes.predict import MinPosition, TimeoutMs
from service.api.variants import Variant
from service.api.waiting import DEFAULT_TIMEOUT_MS
from service.models import MAX_ASKED_EDGES, MAX_TRIED_BYTES, EdgePredictions
from service.problems import INVALID_REQUEST, Problem
from service.store.questions import EdgeAnswered, EdgeAsked, EdgesAnswered, EdgesAsked, Refused, ValueAnswered

router = APIRouter(tags=["predictions"])

_Node = Annotated[str, msgspec.Meta(min_length=1)] | int
_ERRORS = {"few-labels": "no-model", "few-values": "no-model"}


class _Edge(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """An edge as it is named in the body, and as an event has it."""

    src: _Node | None = None
    dst: _Node | None = None
    id: _Node | None = None
    type: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    weight: Any = None
    x: Any = None


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    edges: Annotated[list[_Edge], msgspec.Meta(min_length=1, max_length=MAX_ASKED_EDGES)]


_body = msgspec.json.Decoder(_Body)


@router.post(
    "/predict/edge",
    operation_id="predictEdges",
    summary="Predict many edges",
    response_model=EdgePredictions,
    response_description="One prediction for each edge, all of one position.",
)
async def post_edge_predictions(
    request: Request,
    context: Ctx,
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """The class probabilities or the values of edges, each of a type that has a task.

    An edge is named as in `GET /predict/edge`, by `src` and `dst` or by `id`. One that has not arrived may have
    `weight` and `x`, its features, as in `upsert_edge`; features that are left out are zeros. Where an edge has no
    prediction, its `error` is `no-task`, `unknown-edge` or `no-model`.

    The worker answers all of them between two turns. `position` is the log entry up to which everything is counted.
    """
    media_type(request, (JSON,))
    async with received(request, MAX_TRIED_BYTES) as body:
        edges = decoded(_body, request, body).edges
        asked = _asked(edges, await context.log.schema())
    answered = await answer_in_time(request, context, EdgesAsked(asked), min_position, timeout_ms, variant)
    found = answered.answer
    assert isinstance(found, EdgesAnswered)
    context.metrics.predictions.inc(len(edges))
    shown = [_shown(edge, one, each) for edge, one, each in zip(edges, asked, found.edges, strict=True)]
    whole = {
        "predictions": shown,
        "position": found.source.position,
        "behind": answered.behind(found.source),
        **answered.named,
    }
    return one_answer(request, msgspec.json.encode(whole))


def _asked(edges: Sequence[_Edge], schema: GraphSchema) -> list[EdgeAsked]:
    """What the worker is asked.

    Raises:
        Problem: 422 with the fields of the edges that are named wrongly, or that no event could have.
    """
    wrong = [(at, name, text) for at, edge in enumerate(edges) for name, text in _wrong(edge)]
    if wrong:
        raise _invalid(wrong)
    new = [at for at, edge in enumerate(edges) if edge.id is None]
    try:
        upserts = dict(zip(new, _upserts([edges[at] for at in new], schema.edge_types), strict=True))
    except InvalidEvents as error:
        raise _invalid([(new[each.index], each.field, each.message) for each in error.problems]) from None
    return [_question(edge, upserts.get(at)) for at, edge in enumerate(edges)]


def _invalid(wrong: Sequence[tuple[int, str, str]]) -> Problem:
    """The 422 of edges by their places and fields."""
    return invalid(INVALID_REQUEST, [{"field": f"edges[{at}].{name}", "message": text} for at, name, text in wrong])


def _wrong(edge: _Edge) -> list[tuple[str, str]]:
    """Fields that do not fit each other, each with what is wrong."""
    if edge.id is None:
        missing = [name for name in ("src", "dst") if getattr(edge, name) is None]
        return [(name, "name the edge by src and dst, or by id") for name in missing]
    others = [name for name in ("src", "dst", "weight", "x") if getattr(edge, name) is not None]
    return [(name, "is not given with an id") for name in others]


def _upserts(edges: Sequence[_Edge], types: Mapping[str, EdgeType]) -> list[UpsertEdge]:
    """The events that would add the edges, which are checked as such.

    Raises:
        InvalidEvents: naming index and field of what an event may not have.
    """
    events = []
    for edge in edges:
        declared = types.get(edge.type or "")
        # The id that an edge will have does not matter to its prediction.
        named = {"id": "new"} if declared is not None and declared.ids else {}
        events.append({"op": "upsert_edge", **msgspec.to_builtins(edge), **named})
    decoded = decode_json(msgspec.json.encode(events), None, types) if events else []
    return [event for event in decoded if isinstance(event, UpsertEdge)]


def _question(edge: _Edge, upsert: UpsertEdge | None) -> EdgeAsked:
    kind = edge.type or RELATION
    if upsert is None:
        return EdgeAsked(kind, edge=str(edge.id))
    weight = 1.0 if upsert.weight is None else upsert.weight
    return EdgeAsked(kind, (str(upsert.src), str(upsert.dst)), weight=weight, x=upsert.x)


def _shown(edge: _Edge, asked: EdgeAsked, found: EdgeAnswered | ValueAnswered | Refused) -> dict[str, Any]:
    named = {name: getattr(edge, name) for name in ("src", "dst", "id") if getattr(edge, name) is not None}
    named["type"] = asked.edge_type
    if isinstance(found, Refused):
        return {**named, "label": None, "error": _ERRORS.get(found.reason, found.reason)}
    return {**named, **edge_fields(found)}
