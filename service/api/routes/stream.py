"""The stream of changes."""

from __future__ import annotations

import contextlib
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from olad_core.judging.decision_kinds import RareKind
from service.api.body import client_of
from service.api.context import Context, Ctx
from service.api.event_stream import EVENT_STREAM, EventStream, Filter
from service.api.variants import Variant, asked_of
from service.problems import CHANGES_GONE, CHANGES_OFF, INVALID_REQUEST, TOO_MANY_STREAMS, TOO_MUCH_AT_ONCE, Problem
from service.shares import NoShare
from service.store.change_reader import ChangesMissing
from service.store.changes import parse_after
from service.store.positions import PositionPair

router = APIRouter(tags=["changes"])


@router.get(
    "/stream",
    operation_id="streamChanges",
    summary="Changes of labels, and decisions, as they become visible",
    response_class=Response,
    responses={200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}}},
    response_description="Server-sent events, until the client leaves.",
)
async def get_stream(
    request: Request,
    context: Ctx,
    node: Annotated[list[str], Query(max_length=1000, description="Only changes of the labels of these nodes.")] = [],  # noqa: B006
    type: Annotated[  # noqa: A002
        list[Literal["label-changed", "labels-not-listed", "rule-changed", "decision"]],
        Query(max_length=10, description="Only changes of these types."),
    ] = [],  # noqa: B006
    class_name: Annotated[
        list[str],
        Query(alias="class", max_length=1000, description="Only where a label becomes one of these classes, or was."),
    ] = [],  # noqa: B006
    kind: Annotated[list[RareKind], Query(max_length=20, description="Only decisions of these kinds.")] = [],  # noqa: B006
    variant: Variant = None,
    after: Annotated[
        str | None, Query(max_length=80, description="As `Last-Event-ID`, for clients that cannot send it.")
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(
            max_length=80,
            description="The last `id` that was received: the stream goes on right after it. A position alone begins "
            "with the first change at it. Without it, the stream begins with the next change.",
        ),
    ] = None,
) -> Response:
    """Each event's `data` is a CloudEvent (JSON), its `id` a position and a number, its `event` the type.

    `label-changed`: a node has another label than readers saw before. `labels-not-listed`: so many more nodes have,
    which are not listed one by one. `rule-changed`: what turns probabilities into labels has changed, and with it maybe
    labels that are not listed. `decision`: as `GET /students` lists them, without those to keep a student.

    An event is sent after it is visible to reads. `gone` ends the stream of a client that is too far behind, and where
    another variant has become the champion: its labels may differ, so read the predictions again.
    """
    if not context.changes_kept:
        raise Problem(CHANGES_OFF, "set OLAD_CHANGES=on for the worker and the API, and start both again")
    context = await asked_of(context, variant)
    begin = await _begin(context, last_event_id or after)
    wanted = Filter(frozenset(type), frozenset(node), frozenset(class_name), frozenset(kind))
    if request.scope.get("head"):
        return Response(media_type=EVENT_STREAM)
    return _Placed(context, client_of(request), EventStream(context.changes, begin, wanted, context.metrics))


async def _begin(context: Context, last: str | None) -> PositionPair:
    """The id after which the stream begins.

    Raises:
        Problem: it is no id, or changes after it are not kept.
    """
    if not last:
        return await context.changes.newest()
    try:
        begin = parse_after(last)
        await context.changes.page(begin)
    except ValueError as error:
        errors = [{"field": "Last-Event-ID", "message": str(error)}]
        raise Problem(INVALID_REQUEST, f"field Last-Event-ID: {error}", errors=errors, total_errors=1) from None
    except ChangesMissing as missing:
        detail = f"{missing}: read the predictions again, then follow without Last-Event-ID"
        raise Problem(CHANGES_GONE, detail) from None
    return begin


class _Placed(Response):
    """A stream that holds a place among those that may be open."""

    def __init__(self, context: Context, client: str, stream: EventStream) -> None:
        super().__init__()
        self._context = context
        self._client = client
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the stream, then give the place back."""
        with contextlib.ExitStack() as place:
            try:
                place.enter_context(self._context.changes.place(self._client))
            except NoShare as error:
                kind = TOO_MANY_STREAMS if error.used >= error.total else TOO_MUCH_AT_ONCE
                detail = f"{error.used} of {error.total} streams are open, {error.own} of them of this client"
                raise Problem(kind, detail, headers={"Retry-After": "5"}) from None
            await self._stream.send(receive, send)
