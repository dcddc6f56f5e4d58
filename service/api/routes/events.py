"""Sending events, and reading about those that could not be applied."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from olad_core.event_pieces import PIECE_BYTES, TooManyEvents, json_pieces, ndjson_pieces
from olad_core.events import Event, InvalidEvents
from olad_core.schema import HeldSchema, TooManyClasses, require_tasks
from service.api.body import JSON, NDJSON, key_of, media_type, received, too_large
from service.api.context import Ctx
from service.api.errors import invalid, too_many_classes
from service.api.idempotency import IdempotencyKey, accepted, key_reused
from service.models import MAX_BODY_BYTES, AcceptedBatch, Rejected, RejectedPage
from service.problems import (
    INVALID_EVENTS,
    INVALID_REQUEST,
)
from service.slices import in_slices
from service.store.log_writer import KeyReused
from service.store.positions import parse_position

router = APIRouter(tags=["events"])


@router.post(
    "/events",
    operation_id="appendEvents",
    status_code=202,
    summary="Append a batch of events",
    response_model=AcceptedBatch,
    response_description="The batch is in the log and will be applied.",
)
async def post_events(request: Request, context: Ctx, idempotency_key: IdempotencyKey = None) -> Response:
    """One request is one log entry: accepted as a whole or refused as a whole.

    The entry's id is the graph's *position*: with it `GET /predict/{node}?min_position=` waits until the batch
    is part of the prediction.
    """
    kind = media_type(request, (JSON, NDJSON))
    await context.overload.check()
    decode = _decode_json if kind == JSON else _decode_ndjson
    key = idempotency_key.encode() if idempotency_key else None
    owner = key_of(request)
    admission = context.overload.admission()
    try:
        async with received(request, MAX_BODY_BYTES) as body:
            context.metrics.bytes.inc(len(body))
            if len(body) <= PIECE_BYTES:
                done = await context.log.append(body, decode, key, owner, admission)
            else:
                async with context.large_batches:
                    done = await context.log.append(body, decode, key, owner, admission)
    except TooManyEvents as error:
        raise too_large(str(error)) from None
    except InvalidEvents as error:
        context.metrics.refused.inc()
        raise invalid(INVALID_EVENTS, [msgspec.to_builtins(problem) for problem in error.problems]) from None
    except TooManyClasses as error:
        context.metrics.refused.inc()
        raise too_many_classes(error) from None
    except KeyReused as error:
        raise key_reused(error, "batch") from None
    if done.replayed:
        context.metrics.replayed.inc()
    else:
        admission.admitted(done.position)
        context.metrics.batches.inc()
        context.metrics.events.inc(done.accepted)
    return accepted(request, done, accepted=done.accepted)


async def _decode_json(body: bytes, schema: HeldSchema) -> list[Event]:
    batch = await in_slices(json_pieces(body, schema.feature_width, schema.edge_types, schema.node_types))
    return require_tasks(batch, schema)


async def _decode_ndjson(body: bytes, schema: HeldSchema) -> list[Event]:
    batch = await in_slices(ndjson_pieces(body, schema.feature_width, schema.edge_types, schema.node_types))
    return require_tasks(batch, schema)


@router.get(
    "/events/rejected",
    operation_id="getRejectedEvents",
    summary="Events that could not be applied",
    response_description="One page, newest first.",
)
async def get_rejected(
    context: Ctx,
    limit: Annotated[int, Query(ge=1, le=1000, description="Events in one page at most.")] = 100,
    after: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
) -> RejectedPage:
    """Accepted events that were well-formed but impossible when their turn came, newest first.

    The newest 100,000 or so are kept, older ones are deleted: `oldest` is the first position kept, `rejected_events`
    the number of all. To read on, pass each page's `next` as `after`.
    """
    if after is not None:
        try:
            parse_position(after)
        except ValueError:
            message = "is not the `next` of a page"
            raise invalid(INVALID_REQUEST, [{"field": "after", "message": message}]) from None
    page = await context.rejected.page(limit, after)
    return RejectedPage(
        rejected=[Rejected.model_validate(event) for event in page.events],
        next=page.next,
        total=page.total,
        oldest=page.oldest,
        rejected_events=page.worker.rejected_events if page.worker is not None else None,
    )
