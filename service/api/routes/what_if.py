"""What events would lead to."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response

from olad_core.event_pieces import TooManyEvents, json_pieces, log_pieces
from olad_core.events import InvalidEvents
from olad_core.schema import require_tasks
from service.api.answers import one_answer
from service.api.body import JSON, decoded, media_type, received
from service.api.context import Context, Ctx
from service.api.errors import invalid
from service.api.questions import answer_in_time
from service.api.routes.predict import MinPosition, TimeoutMs
from service.api.variants import Variant
from service.api.waiting import DEFAULT_TIMEOUT_MS
from service.models import MAX_TRIED_BYTES, MAX_TRIED_EVENTS, MAX_TRIED_NODES, WhatIfAnswer
from service.problems import INVALID_EVENTS, TOO_LARGE, Problem
from service.slices import in_slices
from service.store.questions import PredictedNode, WhatIfAnswered, WhatIfAsked

router = APIRouter(tags=["predictions"])

_Node = Annotated[str, msgspec.Meta(min_length=1)] | int


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    events: msgspec.Raw
    nodes: Annotated[list[_Node], msgspec.Meta(min_length=1, max_length=MAX_TRIED_NODES)]


_asked = msgspec.json.Decoder(_Asked)


@router.post(
    "/what-if",
    operation_id="whatIf",
    summary="Predict what events would lead to",
    response_model=WhatIfAnswer,
    response_description="Predictions as they would be. Nothing was applied.",
)
async def post_what_if(
    request: Request,
    context: Ctx,
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """The predictions of nodes as they would be after these events, which are not applied.

    It is the answer that applying them at `position` would give, with the same version of the model. Events that could
    not be applied then are listed in `rejected`. A node that would not be in the graph has `"label": null` and
    `"error": "not-found"`.

    The worker answers between two turns. It reads 50,000 nodes and edges at most: those around the nodes, as many edges
    away as the students have layers, and the edges of nodes that would be removed.
    """
    media_type(request, (JSON,))
    async with received(request, MAX_TRIED_BYTES) as body:
        asked = decoded(_asked, request, body)
        events = await _events(context, bytes(asked.events))
    question = WhatIfAsked(events, [*dict.fromkeys(map(str, asked.nodes))])
    answered = await answer_in_time(request, context, question, min_position, timeout_ms, variant)
    found = answered.answer
    assert isinstance(found, WhatIfAnswered)
    context.metrics.predictions.inc(len(found.nodes))
    predicted = {each.node: each for each in found.nodes}
    body = msgspec.json.encode(
        {
            "predictions": [_shown(node, predicted.get(str(node))) for node in asked.nodes],
            "rejected": found.rejected,
            "student": found.source.student,
            "model_version": found.source.version,
            "position": found.source.position,
            "behind": answered.behind(found.source),
            **answered.named,
        }
    )
    return one_answer(request, body)


async def _events(context: Context, text: bytes) -> bytes:
    """The events as they would stand in the log.

    Raises:
        Problem: 422 where one is invalid, 413 where they are too many.
    """
    schema = await context.log.schema()
    try:
        events = await in_slices(json_pieces(text, schema.feature_width, schema.edge_types, schema.node_types))
        require_tasks(events, schema)
    except InvalidEvents as error:
        raise invalid(INVALID_EVENTS, [msgspec.to_builtins(problem) for problem in error.problems]) from None
    except TooManyEvents as error:
        raise Problem(TOO_LARGE, f"{error}, {MAX_TRIED_EVENTS:,} are allowed here") from None
    if len(events) > MAX_TRIED_EVENTS:
        raise Problem(TOO_LARGE, f"these are {len(events):,} events, {MAX_TRIED_EVENTS:,} are allowed here")
    return await in_slices(log_pieces(events))


def _shown(node: str | int, predicted: PredictedNode | None) -> dict[str, object]:
    if predicted is None:
        return {"node": node, "label": None, "error": "not-found"}
    return {**msgspec.to_builtins(predicted), "node": node}
