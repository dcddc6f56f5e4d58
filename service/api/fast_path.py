"""The shortest way to the answer that is asked for most: one node's prediction, as it is now."""

from __future__ import annotations

import re

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.answers import SMALL_BYTES, prediction
from service.api.body import client_of
from service.api.context import Context
from service.api.routes.predict import node_in
from service.api.variants import asked_of
from service.api.waiting import DEFAULT_TIMEOUT_MS, Patience, renewed
from service.problems import Problem
from service.store.champion import ChampionMoved
from service.store.redis_refusals import REDIS_ERRORS

_BEFORE_NODE = b"/predict/"
_SMALL_ROW_BYTES = 4_100
"""Larger rows go the ordinary way, which counts large answers."""
_TIMEOUT = re.compile(rb"timeout_ms=([0-9]{1,4})")
"""The query that is most common, in its plain form."""


class Shortcut:
    """Answers ``GET /predict/{node}`` before the framework begins to work, with no query but ``timeout_ms``.

    It takes the cases where all is well. In every other, and where Redis fails, the ordinary route does it from
    the start: what is wrong is said in one place.

    Args:
        app: everything else, the ordinary route among it.
        context: the application's.
        route: the ordinary route, for the metrics.
    """

    def __init__(self, app: ASGIApp, context: Context, route: BaseRoute) -> None:
        self._app = app
        self._context = context
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        body = None
        if scope["type"] == "http" and scope["method"] == "GET":
            raw: bytes = scope.get("raw_path") or b""
            timeout_ms = _timeout_in(scope["query_string"]) if raw.startswith(_BEFORE_NODE) else None
            if timeout_ms is not None:
                body = await self._answer(raw, timeout_ms, scope, receive)
        if body is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, raw_path: bytes, timeout_ms: int, scope: Scope, receive: Receive) -> bytes | None:
        try:
            node = node_in(raw_path)
            context = await asked_of(self._context, None, node)
            snapshot = await context.readers.read_one(node)
            if snapshot.marked and len(snapshot.rows[0] or b"") <= _SMALL_ROW_BYTES:
                with Patience(receive, client_of(Request(scope)), timeout_ms) as patience:
                    snapshot = await renewed(context, patience, (node,), snapshot)
        except (Problem, ChampionMoved, ClientDisconnect, *REDIS_ERRORS):
            return None
        (row,), (moment,) = snapshot.rows, snapshot.moments
        if row is None or snapshot.model is None or len(row) > _SMALL_ROW_BYTES:
            return None
        body = msgspec.json.encode(prediction(node, row, snapshot.model, moment, named=context.named))
        if len(body) > SMALL_BYTES:
            return None
        context.metrics.predictions.inc()
        return body


def _timeout_in(query: bytes) -> int | None:
    """How long a request waits whose query names nothing else; None for another query.

    >>> [_timeout_in(query) for query in (b"", b"timeout_ms=20", b"timeout_ms=20&top=1", b"timeout_ms=+2")]
    [5000, 20, None, None]
    """
    if not query:
        return DEFAULT_TIMEOUT_MS
    found = _TIMEOUT.fullmatch(query)
    return int(found[1]) if found else None
