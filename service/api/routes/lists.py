"""Lists of nodes, for those who work through them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from olad_core.serving.list_names import SIZES, ListName
from service.api.answers import one_answer
from service.api.body import client_of
from service.api.context import Context, Ctx
from service.api.edge_lists import edge_list, type_with_class
from service.api.errors import invalid
from service.api.no_model import no_model
from service.api.routes.predict import MinPosition, TimeoutMs, path_text
from service.api.variants import Variant, answered_by
from service.api.waiting import DEFAULT_TIMEOUT_MS, Patience, listed, until_visible
from service.models import EdgeList, NodeList
from service.problems import INVALID_REQUEST, NO_MODEL, UNKNOWN_CLASS, Problem
from service.store.node_lists import FoundList
from service.store.questions import TopEdgesAsked

router = APIRouter(tags=["predictions"])

MAX_LISTED = SIZES[-1]
"""Nodes in one list at most."""
_NO_SUCH_NODES = frozenset({NO_MODEL, UNKNOWN_CLASS})
MAX_PREFIX = 1_000
"""Characters that ids are searched by at most."""
Limit = Annotated[int, Query(ge=1, le=MAX_LISTED, description="Nodes in the list at most.")]
Labelled = Annotated[bool, Query(description="Whether nodes whose label is known are listed, too.")]


@router.get(
    "/top/{class_name:node}",
    operation_id="getTopNodes",
    summary="The nodes most likely to be of a class",
    response_model=NodeList | EdgeList,
    response_description="The likeliest first.",
)
async def get_top(
    request: Request,
    context: Ctx,
    class_name: Annotated[str, Path(description="Name of the class, percent-encoded.", examples=["physics"])],
    limit: Limit = 100,
    labelled: Labelled = False,
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """Nodes by their probability of the class. Those whose label is known are left out, unless `labelled` is true.

    All that is listed is exact at `position`. `marked` is how many nodes of the graph have an answer of an earlier
    position: one of them may belong into the list. While nothing new comes, the worker brings all of them up to date,
    those that were listed first.

    Where no nodes are of the class but edges of one type are, the answer is that of `GET /edges/top/{class_name}`.
    """
    text = path_text(request.scope, "/top/", class_name, "class_name")
    name = ListName("top", _size(limit), labelled, text)
    try:
        return await _answer(request, context, name, limit, min_position, timeout_ms, variant)
    except Problem as problem:
        edge_type = type_with_class(await context.log.schema(), text) if problem.kind in _NO_SUCH_NODES else None
        if edge_type is None:
            raise
        if labelled:
            wrong = "is of nodes: of edges those without a label are listed"
            raise invalid(INVALID_REQUEST, [{"field": "labelled", "message": wrong}]) from None
        asked = TopEdgesAsked(edge_type, text, limit)
        return await edge_list(request, context, asked, min_position, timeout_ms, variant)


@router.get(
    "/nodes",
    operation_id="listNodes",
    summary="Nodes in doubt, changed or arrived last, or by id",
    response_model=NodeList,
    response_description="In the order that was asked for.",
)
async def get_nodes(
    request: Request,
    context: Ctx,
    order: Annotated[
        Literal["disagreement", "changed", "arrived", "id"],
        Query(
            description="`disagreement`: those about which the members of the group differ most. `changed`: those "
            "whose features or edges changed last; the last 1,400 are known. `arrived`: the newest ones. `id`: those "
            "whose id begins with `prefix`, by their ids."
        ),
    ],
    prefix: Annotated[
        str, Query(max_length=MAX_PREFIX, description="What the ids begin with; only with the order `id`.")
    ] = "",
    limit: Limit = 100,
    labelled: Labelled = False,
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """A list of nodes to work through, each with its label, the probability of it and the disagreement about it.

    All that is listed is exact at `position`. By `disagreement` one of the `marked` nodes may belong into the list.
    By `id` a node that has the whole `prefix` as its id is always listed; of more nodes than `limit` any others are.
    """
    if prefix and order != "id":
        raise invalid(INVALID_REQUEST, [{"field": "prefix", "message": f"is not used with the order {order}"}])
    name = ListName(order, _size(limit), labelled, prefix)
    return await _answer(request, context, name, limit, min_position, timeout_ms, variant)


def _size(limit: int) -> int:
    """The least size of a list that has so many nodes."""
    return next(size for size in SIZES if size >= limit)


async def _answer(
    request: Request,
    context: Context,
    name: ListName,
    limit: int,
    min_position: str | None,
    timeout_ms: int,
    variant: str | None,
) -> Response:
    with Patience(request.receive, client_of(request), timeout_ms) as patience:

        async def answer(asked: Context) -> dict[str, object]:
            wanted = await until_visible(asked, patience, min_position)
            found = await asked.lists.read(str(name))
            if found.version is None:
                raise await no_model(asked)
            if name.order == "top" and name.filter not in found.classes:
                raise Problem(UNKNOWN_CLASS, f"the served version predicts no class {name.filter!r}")
            return {**_shown(await listed(asked, patience, name, found, wanted), limit), **asked.named}

        body = await answered_by(context, variant, answer)
    context.metrics.predictions.inc()
    return one_answer(request, msgspec.json.encode(body))


def _shown(found: FoundList, limit: int) -> dict[str, object]:
    stored = found.stored
    assert stored is not None
    columns = zip(stored.nodes, stored.labels, stored.probabilities, stored.disagreement, strict=True)
    rows = [
        {"node": node, "label": label, "probability": probability, "disagreement": disagreement}
        for node, label, probability, disagreement in list(columns)[:limit]
    ]
    return {
        "nodes": rows,
        "marked": stored.marked,
        "student": stored.student,
        "model_version": stored.version,
        "position": stored.position,
        "behind": max(0, found.appended - stored.applied_events),
    }
