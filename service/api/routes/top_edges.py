"""The edges without a label that are likeliest to be of a class."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from olad_core.graph_types import MAX_TYPE_BYTES, RELATION
from service.api.answers import one_answer
from service.api.context import Ctx
from service.api.questions import answer_in_time
from service.api.routes.lists import Limit
from service.api.routes.predict import MinPosition, TimeoutMs, path_text
from service.api.variants import Variant
from service.api.waiting import DEFAULT_TIMEOUT_MS
from service.models import EdgeList
from service.store.questions import TopEdgesAnswered, TopEdgesAsked

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
    answered = await answer_in_time(
        request, context, TopEdgesAsked(type, name, limit), min_position, timeout_ms, variant
    )
    found = answered.answer
    assert isinstance(found, TopEdgesAnswered)
    context.metrics.predictions.inc(len(found.edges))
    edges = [
        {
            **({} if each.id is None else {"id": each.id}),
            "src": each.src,
            "dst": each.dst,
            "probability": each.probabilities[name],
            "label": max(each.probabilities, key=each.probabilities.__getitem__),
        }
        for each in found.edges
    ]
    body = {
        "edges": edges,
        "type": type,
        "task": found.task,
        "compared": found.compared,
        "waiting": found.waiting,
        "model_version": found.source.version,
        "position": found.source.position,
        "behind": answered.behind(found.source),
        **answered.named,
    }
    return one_answer(request, msgspec.json.encode(body))
