"""The edges of a node."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from service.api.answers import one_answer
from service.api.context import Ctx
from service.api.questions import answer_in_time
from service.api.routes.predict import MinPosition, TimeoutMs, path_text
from service.api.variants import Variant
from service.api.waiting import DEFAULT_TIMEOUT_MS
from service.models import MAX_EDGES, NeighbourList
from service.store.questions import NeighboursAnswered, NeighboursAsked

router = APIRouter(tags=["predictions"])


@router.get(
    "/neighbours/{node:node}",
    operation_id="getNeighbours",
    summary="The edges of one node",
    response_model=NeighbourList,
    response_description="Those of the greatest weight first.",
)
async def get_neighbours(
    request: Request,
    context: Ctx,
    node: Annotated[str, Path(description="The node's id, percent-encoded.", examples=["p1"])],
    limit: Annotated[int, Query(ge=1, le=MAX_EDGES, description="How many edges are listed at most.")] = 100,
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """The edges of the node at `position`, with what is known of their other ends.

    `POST /predict` with these nodes has their predictions, `GET /explain/{node}` what each edge contributes. A node
    with more edges than an answer may read (`OLAD_MOST_READ`) is answered 413.
    """
    node = path_text(request.scope, "/neighbours/", node, "node")
    answered = await answer_in_time(
        request, context, NeighboursAsked(node, limit), min_position, timeout_ms, variant, node
    )
    found = answered.answer
    assert isinstance(found, NeighboursAnswered)
    body = {
        "node": node,
        "label": found.label,
        "edges": found.edges,
        "count": found.count,
        "position": found.source.position,
        "behind": answered.behind(found.source),
        **answered.named,
    }
    return one_answer(request, msgspec.json.encode(body))
