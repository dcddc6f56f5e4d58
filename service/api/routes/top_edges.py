"""The edges without a label that are likeliest to be of a class."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from olad_core.graph_types import MAX_TYPE_BYTES, RELATION
from service.api.context import Ctx
from service.api.edge_lists import edge_list
from service.api.routes.lists import Limit
from service.api.routes.predict import MinPosition, TimeoutMs, path_text
from service.api.variants import Variant
from service.api.waiting import DEFAULT_TIMEOUT_MS
from service.models import EdgeList
from service.store.questions import TopEdgesAsked

router = APIRouter(tags=["predictions"])


@router.get(
    "/edges/top/{class_name:node}",
    operation_id="getTopEdges",
    summary="The edges most likely to be of a class",
    response_model=EdgeList,
    response_description="The likeliest first.",
)
async def get_top_edges(
    request: Request,
    context: Ctx,
    class_name: Annotated[str, Path(description="Name of the class, percent-encoded.", examples=["fraud"])],
    type: Annotated[  # noqa: A002 (the name in the query)
        str, Query(min_length=1, max_length=MAX_TYPE_BYTES, description="Type of the edges, which has a task.")
    ] = RELATION,
    limit: Limit = 100,
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """Edges that have arrived and have no label yet, by their probability of the class.

    The newest 8,192 of them are compared. The worker answers between two turns, exactly at `position`.
    """
    name = path_text(request.scope, "/edges/top/", class_name, "class_name")
    asked = TopEdgesAsked(type, name, limit)
    return await edge_list(request, context, asked, min_position, timeout_ms, variant)
