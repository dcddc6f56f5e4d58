"""Why a node is predicted as it is."""

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
from service.models import MAX_EFFECTS, ExplainAnswer
from service.store.questions import ExplainAnswered, ExplainAsked

router = APIRouter(tags=["predictions"])


@router.get(
    "/explain/{node:node}",
    operation_id="explainNode",
    summary="Explain one node",
    response_model=ExplainAnswer,
    response_description="What the probability of its label becomes without each thing.",
)
async def get_explanation(
    request: Request,
    context: Ctx,
    node: Annotated[str, Path(description="The node's id, percent-encoded.", examples=["p1"])],
    k: Annotated[int, Query(ge=1, le=MAX_EFFECTS, description="How many effects are listed at most.")] = 10,
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """The change of the probability of the node's label without each thing that the prediction is made of.

    These are each edge into the node, the known label of the node and of each neighbour as an input, and the features
    of each of them. Each is taken away alone, and the change is exact: that of `POST /what-if` with the removal. Those
    of the largest change are listed, the largest first. `total` is the change without all edges into the node, its
    label and its features. `interaction` is what of it is not the sum of the `count` changes.
    """
    node = path_text(request.scope, "/explain/", node, "node")
    answered = await answer_in_time(request, context, ExplainAsked(node, k), min_position, timeout_ms, variant, node)
    found = answered.answer
    assert isinstance(found, ExplainAnswered)
    context.metrics.predictions.inc()
    body = {
        "node": node,
        "label": found.label,
        "probability": found.probability,
        "effects": found.effects,
        "count": found.count,
        "total": found.total,
        "interaction": found.interaction,
        "student": found.source.student,
        "model_version": found.source.version,
        "position": found.source.position,
        "behind": answered.behind(found.source),
        **answered.named,
    }
    return one_answer(request, msgspec.json.encode(body))
