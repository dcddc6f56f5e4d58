"""Embeddings of nodes, as a student of the served version has them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Request, Response

from service.api.answers import PartsResponse, one_answer
from service.api.arrow import ARROW, wants_arrow
from service.api.body import JSON, client_of, read_json, too_much
from service.api.context import Context, Ctx
from service.api.embedding_answers import EmbeddedNodes, Node, arrow_parts, embedded, embedding, json_parts
from service.api.routes.predict import MinPosition, TimeoutMs, path_text
from service.api.variants import Variant, answered_by
from service.api.waiting import DEFAULT_TIMEOUT_MS, Patience, until_visible
from service.models import MAX_TRIED_BYTES, EmbeddingList, EmbeddingsWanted, NodeEmbedding
from service.problems import UNKNOWN_NODE, Problem
from service.shares import NoShare
from service.slices import in_slices

router = APIRouter(tags=["predictions"])


@router.get(
    "/embeddings/{node:node}",
    operation_id="embedNode",
    summary="The embedding of one node",
    response_model=NodeEmbedding,
    response_description="The embedding by a student of the served version.",
)
async def get_embedding(
    request: Request,
    context: Ctx,
    node: Annotated[str, Path(description="The node's id, percent-encoded.", examples=["p1"])],
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """The embedding of a node: what the head of a student of the served version reads, exact at `position`.

    Embeddings can be compared with others of the same `student` and `model_version` alone. Where the group is served,
    they are of the student that counts most in its answers.

    The worker computes it between two turns from the whole neighbourhood of the node. Where that is more nodes and
    edges than `OLAD_MOST_READ`, the answer is 413.
    """
    node = path_text(request.scope, "/embeddings/", node, "node")
    [found] = await _embedded(request, context, [node], min_position, timeout_ms, variant, node)
    context.metrics.predictions.inc()
    if not found.there[0]:
        made_by = {name: found.made_by[name] for name in ("position", "behind")}
        raise Problem(UNKNOWN_NODE, f"node {node!r} is not in the graph at this position", **made_by)
    return one_answer(request, msgspec.json.encode(embedding(found, 0)))


@router.post(
    "/embeddings",
    operation_id="embedNodes",
    summary="The embeddings of many nodes",
    response_model=EmbeddingList,
    response_description="One answer each, in order, all of one version and student.",
    # The stream is in the description alone: with a second type of content, generated clients answer a union.
)
async def post_embeddings(
    request: Request,
    context: Ctx,
    min_position: MinPosition = None,
    timeout_ms: TimeoutMs = DEFAULT_TIMEOUT_MS,
    variant: Variant = None,
) -> Response:
    """Up to 1,000 nodes at once. A node that is not in the graph has `"embedding": null` and `"error": "not-found"`.

    All are of the same weights of one student. Each is exact at its own `position`: the worker answers in parts,
    between two turns.

    With `Accept: application/vnd.apache.arrow.stream` the answer is an Arrow stream. Its columns are `node`,
    `embedding` (a fixed-size list of float32), `position`, `behind` and `error`. The metadata of its schema has
    `student` and `model_version`.
    """
    asked = await read_json(EmbeddingsWanted, request, MAX_TRIED_BYTES)
    found = await _embedded(request, context, asked.nodes, min_position, timeout_ms, variant)
    context.metrics.predictions.inc(len(asked.nodes))
    with contextlib.ExitStack() as held:
        try:
            share = held.enter_context(context.memory.take(client_of(request), 0))
            make, kind = (arrow_parts, ARROW) if wants_arrow(request) else (json_parts, JSON)
            parts = await in_slices(make(found, share))
        except NoShare as error:
            raise too_much(error) from None
        return PartsResponse(parts, held.pop_all(), kind)


async def _embedded(
    request: Request,
    context: Context,
    nodes: Sequence[Node],
    min_position: str | None,
    timeout_ms: int,
    variant: str | None,
    node: str | None = None,
) -> list[EmbeddedNodes]:
    with Patience(request.receive, client_of(request), timeout_ms) as patience:

        async def answer(asked: Context) -> list[EmbeddedNodes]:
            await until_visible(asked, patience, min_position)
            return await embedded(asked, patience, nodes)

        return await answered_by(context, variant, answer, node)
