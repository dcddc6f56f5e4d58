"""Why an edge is predicted as it is."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from olad_core.graph_types import RELATION
from service.api.answers import one_answer
from service.api.context import Ctx
from service.api.questions import answer_in_time
from service.api.routes.predict import MinPosition, TimeoutMs
from service.api.routes.predict_edge import Dst, EdgeId, EdgeRoute, OfType, Src, Weight, named_ends
from service.api.variants import Variant
from service.api.waiting import DEFAULT_TIMEOUT_MS
from service.models import MAX_EARLIER_LABELS, ExplainEdgeAnswer
from service.store.questions import EdgeAsked, ExplainEdgeAnswered, ExplainEdgeAsked

router = APIRouter(tags=["predictions"], route_class=EdgeRoute)


@router.get(
    "/explain/edge",
    operation_id="explainEdge",
    summary="Explain one edge",
    response_model=ExplainEdgeAnswer,
    response_description="What the probability of its class becomes without each part of what is known.",
)
async def get_edge_explanation(
    request: Request,
    context: Ctx,
    src: Src = None,
    dst: Dst = None,
    id: EdgeId = None,  # noqa: A002 (the name in the query)
    type: OfType = RELATION,  # noqa: A002 (the name in the query)
    weight: Weight = 1.0,
    k: Annotated[
        int, Query(ge=1, le=MAX_EARLIER_LABELS, description="How many labels of earlier edges are listed at most.")
    ] = 10,
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """The change of the probability of the edge's likeliest class without each part of what is known of it.

    The edge is named as in `GET /predict/edge`; its type must have a task `edge_class`. Each input of the model belongs
    to one part: the edge's own features and weight, earlier edges between both ends, and of each end its edges, their
    labels, and the labels where edges of other types lead. Each part is taken away alone. `total` is the change without
    all of them: that of an edge of weight 1 between two nodes that are not there. `interaction` is what of it is not
    the sum of the `effects`.

    Of an edge that has not arrived, `labels` lists what each known label of an earlier edge at its ends changes, as if
    the label had not come. What the model has learned from it stays.
    """
    ends = named_ends(src, dst, id)
    asked = ExplainEdgeAsked(EdgeAsked(type, ends, id, weight), k)
    answered = await answer_in_time(request, context, asked, min_position, timeout_ms, variant)
    found = answered.answer
    assert isinstance(found, ExplainEdgeAnswered)
    context.metrics.predictions.inc()
    named: dict[str, Any] = {"id": id} if ends is None else {"src": src, "dst": dst}
    body = {
        **named,
        "type": type,
        "task": found.task,
        "label": found.label,
        "probability": found.probability,
        "arrived": found.arrived,
        "effects": found.effects,
        "total": found.total,
        "interaction": found.interaction,
        "labels": found.labels,
        "count": found.count,
        "model_version": found.source.version,
        "position": found.source.position,
        "behind": answered.behind(found.source),
        **answered.named,
    }
    return one_answer(request, msgspec.json.encode(body))
