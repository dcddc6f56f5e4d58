"""Whether there will be an edge: scores of pairs, and the best partners of a node."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from olad_core.events import MAX_ID_BYTES
from olad_core.graph_types import MAX_TYPE_BYTES, RELATION
from service.api.answers import one_answer
from service.api.context import Context, Ctx
from service.api.questions import Answered, answer_in_time
from service.api.routes.predict import MinPosition, TimeoutMs, path_text
from service.api.routes.predict_edge import EdgeRoute
from service.api.variants import Variant
from service.api.waiting import DEFAULT_TIMEOUT_MS
from service.models import MAX_PARTNERS, LinkPrediction, PartnerList
from service.store.questions import LinkAsked, LinksAnswered, PartnersAsked

router = APIRouter()
_pairs = APIRouter(tags=["predictions"], route_class=EdgeRoute)
"""Without ``src`` and ``dst`` its path is that of the node ``link``."""

_Type = Annotated[str, Query(min_length=1, max_length=MAX_TYPE_BYTES, description="Type of the edge.")]


@_pairs.get(
    "/predict/link",
    operation_id="predictLink",
    summary="Score one pair of nodes",
    response_model=LinkPrediction,
    response_description="How likely an edge of the type is.",
)
async def get_link(
    request: Request,
    context: Ctx,
    src: Annotated[str, Query(min_length=1, max_length=MAX_ID_BYTES, description="Where the edge would begin.")],
    dst: Annotated[str, Query(min_length=1, max_length=MAX_ID_BYTES, description="Where it would end.")],
    type: _Type = RELATION,  # noqa: A002 (the name in the query)
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """How likely an edge of a type with a `link` task is, as if it arrived now. The ends may be unknown nodes.

    Compare scores of one source. The worker answers between two turns, exactly at `position`.
    """
    found, answered = await _asked(request, context, LinkAsked(type, src, dst), min_position, timeout_ms, variant)
    body = {"src": src, "dst": dst, "type": type, "score": found.scores[0], "linked": found.linked[0]}
    return _answer(request, body, found, answered)


@router.get(
    "/links/{node:node}",
    tags=["predictions"],
    operation_id="listPartners",
    summary="The best partners of a node",
    response_model=PartnerList,
    response_description="The nodes to which an edge of the type is likeliest.",
)
async def get_partners(
    request: Request,
    context: Ctx,
    node: Annotated[str, Path(description="The node's id, percent-encoded.", examples=["p1"])],
    type: _Type = RELATION,  # noqa: A002 (the name in the query)
    k: Annotated[int, Query(ge=1, le=MAX_PARTNERS, description="How many are listed at most.")] = 10,
    linked: Annotated[bool, Query(description="Whether nodes to which there is such an edge are listed, too.")] = False,
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """The nodes to which an edge from this node is likeliest, of a type with a `link` task.

    Candidates are the nodes to which edges of the type have led. Up to 10,000 are all scored. Of more, those are
    scored that two edges connect with the node, and the best by popularity, by time and by likeness: `all` is false.
    """
    node = path_text(request.scope, "/links/", node, "node")
    found, answered = await _asked(
        request, context, PartnersAsked(type, node, k, linked), min_position, timeout_ms, variant, node
    )
    listed = zip(found.nodes, found.scores, found.linked, strict=True)
    links = [{"node": other, "score": score, "linked": has_edge} for other, score, has_edge in listed]
    body = {"node": node, "type": type, "links": links, "scored": found.scored, "all": found.all}
    return _answer(request, body, found, answered)


async def _asked(
    request: Request,
    context: Context,
    question: LinkAsked | PartnersAsked,
    min_position: str | None,
    timeout_ms: int,
    variant: str | None,
    node: str | None = None,
) -> tuple[LinksAnswered, Answered]:
    answered = await answer_in_time(request, context, question, min_position, timeout_ms, variant, node)
    assert isinstance(answered.answer, LinksAnswered)
    context.metrics.predictions.inc(len(answered.answer.nodes))
    return answered.answer, answered


def _answer(request: Request, body: dict[str, object], found: LinksAnswered, answered: Answered) -> Response:
    made_by = {
        "task": found.task,
        "model_version": found.source.version,
        "position": found.source.position,
        "behind": answered.behind(found.source),
        **answered.named,
    }
    return one_answer(request, msgspec.json.encode(body | made_by))


router.include_router(_pairs)
