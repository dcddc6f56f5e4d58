"""Server-sent events: the changes of a graph, as long as a client reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
from starlette.types import Receive, Send

from service.api.metrics import ApiMetrics
from service.store.change_reader import ChangeReader, ChangesMissing, Recorded
from service.store.changes import DECISION, LABEL_CHANGED, change_id
from service.store.positions import PositionPair
from service.store.redis_refusals import REDIS_ERRORS

EVENT_STREAM = "text/event-stream"
HEARTBEAT_S = 15.0
"""After so many seconds without a change a comment is sent, which shows proxies and clients that all is well."""
_HEADERS = [
    (b"content-type", EVENT_STREAM.encode()),
    (b"cache-control", b"no-store"),
    # nginx would collect events before it passes them on.
    (b"x-accel-buffering", b"no"),
]


@dataclass(frozen=True)
class Filter:
    """Which changes a client wants; an empty field does not limit.

    Attributes:
        types: of changes.
        nodes: that labels are of.
        classes: of which one is the label before or after.
        kinds: of decisions.
    """

    types: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()

    def passes(self, change: Recorded) -> bool:
        """Whether a change is wanted.

        Nodes and classes limit changes of labels, kinds limit decisions. What may be about any node passes.
        """
        if self.types and change.type not in self.types:
            return False
        if change.type == DECISION:
            return change.kind in self.kinds if self.kinds else not (self.nodes or self.classes)
        if change.type != LABEL_CHANGED:
            return not self.kinds or bool(self.nodes or self.classes)
        if self.kinds and not (self.nodes or self.classes):
            return False
        wanted = not self.nodes or change.node in self.nodes
        return wanted and (not self.classes or any(label in self.classes for label in change.labels))


class EventStream:
    """The answer to one client, until it leaves or the process stops.

    Args:
        changes: of the graph.
        after: id of the change after which to begin.
        wanted: which ones are sent.
        metrics: count what is sent, and a client that is too far behind.
    """

    def __init__(self, changes: ChangeReader, after: PositionPair, wanted: Filter, metrics: ApiMetrics) -> None:
        self._changes = changes
        self._beginning = changes.beginning
        self._after = after
        self._wanted = wanted
        self._metrics = metrics

    async def send(self, receive: Receive, send: Send) -> None:
        """Send changes; waiting for the client to read them is all that a slow one costs."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            outcomes = await asyncio.gather(sending, leaving, return_exceptions=True)
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]

    async def _send(self, send: Send) -> None:
        async for part in self._parts():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _parts(self) -> AsyncIterator[bytes]:
        """The text of the stream."""
        after = self._after
        # A client that loses its connection before the first change can go on from here.
        yield b": changes follow\n\nid: %s\n\n" % change_id(after).encode()
        going_on, waited = True, False
        while going_on:
            if self._changes.beginning != self._beginning:
                detail = "another variant is the champion now: read the predictions again, then follow anew"
                yield _event(b"gone", None, msgspec.json.encode({"detail": detail}))
                return
            try:
                page = await self._changes.page(after)
            except ChangesMissing as missing:
                self._metrics.stream_dropped.inc()
                yield _event(b"gone", None, msgspec.json.encode({"detail": str(missing), "oldest": missing.oldest}))
                return
            except REDIS_ERRORS:
                # The client asks again, after the last change that it had.
                return
            if page:
                after, waited = page[-1].at, False
                shown = [_event(one.type.encode(), one.id, one.event) for one in page if self._wanted.passes(one)]
                self._metrics.stream_changes.inc(len(shown))
                # A client whose filter passes nothing can go on from here all the same.
                passed = [] if shown and self._wanted.passes(page[-1]) else [f"id: {page[-1].id}\n\n".encode()]
                yield b"".join([*shown, *passed])
            else:
                if waited:
                    yield b": nothing new\n\n"
                going_on, waited = await self._changes.wait(after, HEARTBEAT_S), True


def _event(name: bytes, identity: str | None, data: bytes) -> bytes:
    """One event; JSON without line breaks is one line of data."""
    line = b"" if identity is None else b"id: %s\n" % identity.encode()
    return b"%sevent: %s\ndata: %s\n\n" % (line, name, data)


async def _left(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
