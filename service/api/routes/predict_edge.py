"""The class or the value of an edge, there or not."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from olad_core.events import MAX_ID_BYTES, MAX_WEIGHT
from olad_core.graph_types import MAX_TYPE_BYTES, RELATION
from service.api.answers import one_answer
from service.api.context import Ctx
from service.api.edge_answers import edge_fields
from service.api.errors import invalid
from service.api.questions import answer_in_time
from service.api.routes.predict import MinPosition, TimeoutMs
from service.api.variants import Variant
from service.api.waiting import DEFAULT_TIMEOUT_MS
from service.models import EdgePrediction, EdgeValuePrediction
from service.problems import INVALID_REQUEST
from service.store.questions import EdgeAnswered, EdgeAsked, ValueAnswered

_NAMES_AN_EDGE = re.compile(rb"(?:^|&)(?:src|dst|id)=")


class EdgeRoute(APIRoute):
    """A route for queries that name an edge; without one the same path is that of the node ``edge``."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the request is for this route."""
        if scope["type"] == "http" and not _NAMES_AN_EDGE.search(scope.get("query_string", b"")):
            return Match.NONE, {}
        return super().matches(scope)


Src = Annotated[str | None, Query(min_length=1, max_length=MAX_ID_BYTES, description="Where it begins.")]
Dst = Annotated[str | None, Query(min_length=1, max_length=MAX_ID_BYTES, description="Where it ends.")]
EdgeId = Annotated[
    str | None, Query(min_length=1, max_length=MAX_ID_BYTES, description="Its id, instead of both ends.")
]
OfType = Annotated[str, Query(min_length=1, max_length=MAX_TYPE_BYTES, description="Its type.")]
Weight = Annotated[
    float, Query(gt=0, le=MAX_WEIGHT, allow_inf_nan=False, description="Of an edge that has not arrived.")
]

router = APIRouter(tags=["predictions"], route_class=EdgeRoute)


@router.get(
    "/predict/edge",
    operation_id="predictEdge",
    summary="Predict one edge",
    response_model=EdgePrediction | EdgeValuePrediction,
    response_description="The prediction of the task for edges of the type.",
)
async def get_edge_prediction(
    request: Request,
    context: Ctx,
    src: Src = None,
    dst: Dst = None,
    id: EdgeId = None,  # noqa: A002 (the name in the query)
    type: OfType = RELATION,  # noqa: A002 (the name in the query)
    weight: Weight = 1.0,
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """The class probabilities of an edge of a type that has a task, or its value with an interval.

    An edge that is not there is predicted as if it arrived now: what if `src` paid `dst`? Where edges of the type have
    ids, `src` and `dst` always mean a new edge, and `id` one that has arrived. The ends may be nodes that are not in
    the graph.

    The worker answers between two turns. `position` is the log entry up to which everything is counted.
    """
    ends = named_ends(src, dst, id)
    answered = await answer_in_time(
        request, context, EdgeAsked(type, ends, id, weight), min_position, timeout_ms, variant
    )
    found = answered.answer
    assert isinstance(found, EdgeAnswered | ValueAnswered)
    context.metrics.predictions.inc()
    named: dict[str, Any] = {"id": id} if ends is None else {"src": src, "dst": dst}
    body = {
        **named,
        "type": type,
        **edge_fields(found),
        "position": found.source.position,
        "behind": answered.behind(found.source),
        **answered.named,
    }
    return one_answer(request, msgspec.json.encode(body))


def named_ends(src: str | None, dst: str | None, edge: str | None) -> tuple[str, str] | None:
    """Both ends, None with an id.

    Raises:
        Problem: 422 where neither is named, or both are.
    """
    if src is not None and dst is not None and edge is None:
        return src, dst
    if edge is not None and src is None and dst is None:
        return None
    field = "id" if edge is not None else "dst" if dst is None else "src"
    raise invalid(INVALID_REQUEST, [{"field": field, "message": "name the edge by src and dst, or by id"}])
