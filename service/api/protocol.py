"""The server's connections, with limits on what a client may cost before it has sent a request."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from asyncio.events import TimerHandle
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import msgspec
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.problems import BAD_REQUEST, HEAD_TOO_LARGE, TOO_MANY_CONNECTIONS, Kind

MAX_HEAD_BYTES = 64 * 2**10
"""Request line and headers of a request at most."""
_SILENT_S = 60
"""Seconds after which a connection whose other end takes nothing, or is gone, is given up."""
_GRACE_S = 5.0
"""Seconds in which the application may answer that a body is late, before the connection is closed."""
_FILES_FOR_THE_REST = 256
_MOST_FILES = 65_536
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ConnectionLimits:
    """What all connections of a server share."""

    connections: int
    read_timeout_s: float


class GuardedProtocol(HttpToolsProtocol):
    """Closes connections that are too many, too slow or too talkative; uvicorn itself would wait for ever."""

    def __init__(self, *args: Any, limits: ConnectionLimits, **named: Any) -> None:
        super().__init__(*args, **named)
        self._limits = limits
        self._head_bytes = 0
        self._in_head = True
        self._in_body = False
        self._refused = False
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self._refuse(TOO_MANY_CONNECTIONS, f"{self._limits.connections} are open; try again soon")
            return
        notice_silence(transport)
        self._allow(self._limits.read_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of one request or of several."""
        if self._refused:
            return
        was_in_body = self._in_body
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(HEAD_TOO_LARGE, f"it has more than {MAX_HEAD_BYTES:,} bytes")
            elif self._deadline is None:
                self._allow(self._limits.read_timeout_s)
        elif not self._in_body:
            self._stop_clock()
        elif not was_in_body:
            self._allow(self._limits.read_timeout_s + _GRACE_S)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._in_head, self._in_body, self._head_bytes = True, False, 0

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._in_head, self._in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is there too."""
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What was sent is not HTTP."""
        self._refuse(BAD_REQUEST, msg)

    def _allow(self, seconds: float) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(seconds, self.transport.close)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, kind: Kind, detail: str) -> None:
        """Answer without the application, and close."""
        self._refused = True
        self._stop_clock()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_answer(kind, detail))
        self.transport.close()


def _answer(kind: Kind, detail: str) -> bytes:
    body = msgspec.json.encode(
        {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": detail, "instance": "/"}
    )
    head = (
        f"HTTP/1.1 {kind.status} {HTTPStatus(kind.status).phrase}\r\n"
        "content-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\n"
        "cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n"
    )
    retry = "retry-after: 1\r\n" if kind.status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    return f"{head}{retry}\r\n".encode() + body


def notice_silence(transport: asyncio.Transport) -> None:
    """Have the kernel end a connection whose other end has gone without a word, or does not take what it asked for."""
    connection = cast("socket.socket | None", transport.get_extra_info("socket"))
    if connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # What Linux has and others may not.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * _SILENT_S)
        if hasattr(socket, "TCP_KEEPIDLE"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENT_S)


def connections_possible(wanted: int) -> int:
    """Raise the number of files this process may open as far as it is allowed; the connections that leaves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else _MOST_FILES
    needed = min(most, wanted + _FILES_FOR_THE_REST)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        soft = needed
    possible = wanted if soft == resource.RLIM_INFINITY else min(wanted, max(1, soft - _FILES_FOR_THE_REST))
    if possible < wanted:
        _log.warning("fewer connections than OLAD_MAX_CONNECTIONS: raise ulimit -n", possible=possible, files=soft)
    return possible
