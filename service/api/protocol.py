"""The server's connections, with limits on the resources of a client that has not sent a request yet."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import socket
from asyncio.events import TimerHandle
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import h11
import msgspec
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.api.framing import StrictConnection
from service.problems import BAD_REQUEST, HEAD_TOO_LARGE, NOT_IMPLEMENTED, TOO_LARGE, TOO_MANY_CONNECTIONS, Kind

END_STREAMS = "end_streams"
"""Name of what the application's lifespan hands out to end answers that last until a client leaves."""
_SILENT_S = 60
"""Seconds after which a connection whose other end takes nothing, or is gone, is given up."""
_GRACE_S = 5.0
"""Seconds in which the application may answer that a body is late, before the connection is closed."""
_LINGER_S = 2.0
"""Seconds in which a client may read why it was refused; what it sends meanwhile is thrown away."""
_KINDS = {kind.status: kind for kind in (TOO_LARGE, HEAD_TOO_LARGE, NOT_IMPLEMENTED)}
_QUOTED = re.compile(r":? \(?(?:bytearray\()?b?['\"]|: \w+$")
_FILES_FOR_THE_REST = 256
_MOST_FILES = 65_536
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ConnectionLimits:
    """State that all connections of a server share."""

    connections: int
    read_timeout_s: float


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol on h11, with limits on a client's resources, and problem documents where bytes are refused.

    uvicorn itself would wait for ever for a head or a body, and take any number of connections.
    """

    def __init__(self, *args: Any, limits: ConnectionLimits, **named: Any) -> None:
        super().__init__(*args, **named)
        self.conn: StrictConnection = StrictConnection()
        self._limits = limits
        self._deadline: TimerHandle | None = None
        self._timed: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._wire = transport
        self.transport = cast("asyncio.Transport", _Lingering(transport, self._end))
        if len(self.connections) > self._limits.connections:
            transport.write(_answer(TOO_MANY_CONNECTIONS, f"{self._limits.connections} are open; try again soon"))
            transport.close()
            return
        notice_silence(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of one request or of several."""
        # After the last answer, and after a request that ends the connection, nothing is read.
        if self.transport.is_closing() or self.conn.their_state in {h11.MUST_CLOSE, h11.CLOSED, h11.ERROR}:
            return
        super().data_received(data)
        self._set_deadline()

    def on_response_complete(self) -> None:
        """An answer has been sent."""
        super().on_response_complete()
        self._set_deadline()

    def shutdown(self) -> None:
        """The server stops."""
        end_streams = self.app_state.get(END_STREAMS)
        if end_streams is not None:
            end_streams()
        if self.cycle is None or self.cycle.response_complete:
            self._wire.close()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """What was sent is refused: answer where no answer has begun, close, and read nothing more."""
        error = self.conn.error
        kind = _KINDS.get(error.error_status_hint, BAD_REQUEST) if error is not None else BAD_REQUEST
        if self.transport.is_closing():
            return
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.write(_answer(kind, _words(str(error or msg))))
        if self.cycle is not None and not self.cycle.response_complete:
            # The application must neither wait for the rest of the body nor answer a second time.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _end(self) -> None:
        """Nothing more is sent; what comes is thrown away until the client has closed its side or time is over.

        Closing at once would reset the connection where the client has sent more, and take the answer from it.
        """
        self._stop_clock()
        self._unset_keepalive_if_required()
        self._wire.write_eof()
        self.flow.resume_reading()
        self._deadline = self.loop.call_later(_LINGER_S, self._wire.close)

    def _should_upgrade(self) -> bool:
        """No: an offered upgrade is ignored, and the request's body framed as any other (RFC 9110, 7.8)."""
        return False

    def _set_deadline(self) -> None:
        """Give each head and each body its time, once."""
        if self.transport.is_closing():
            return
        timed: object = None
        seconds = self._limits.read_timeout_s
        if self.conn.their_state is h11.SEND_BODY:
            timed, seconds = self.cycle, seconds + _GRACE_S
        elif self.conn.their_state is h11.IDLE:
            if self.cycle is None or self.conn.buffered:
                timed = h11.IDLE
            elif self.timeout_keep_alive_task is None:
                # uvicorn waits for the next request from the answer on, but not where a body ends after its answer.
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )
        if timed is not self._timed:
            self._stop_clock()
            self._timed = timed
            if timed is not None:
                self._deadline = self.loop.call_later(seconds, self._wire.close)

    def _stop_clock(self) -> None:
        self._timed = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Lingering:
    """A transport that is closed by the one who made it."""

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        self._transport = transport
        self._end = end
        self._ended = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing more is sent."""
        return self._ended or self._transport.is_closing()

    def close(self) -> None:
        """Send nothing more."""
        if not self.is_closing():
            self._ended = True
            self._end()


def _words(message: str) -> str:
    """An error of h11 without the bytes it quotes, which may hold a secret.

    >>> _words("illegal header line: bytearray(b'a : b')")
    'illegal header line'
    """
    return _QUOTED.split(message)[0]


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
    """Have the kernel end a connection whose other end has disappeared, or does not read the answer it asked for."""
    connection = cast("socket.socket | None", transport.get_extra_info("socket"))
    if connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # Options that Linux has and other systems may not.
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
