"""Where one HTTP/1.1 request ends and the next begins: h11, and what RFC 9112 lets a recipient refuse and h11 reads."""

from __future__ import annotations

import math
import re
from typing import Any

import h11
from h11._receivebuffer import ReceiveBuffer

MAX_HEAD_BYTES = 64 * 2**10
"""Request line and headers of a request at most; also its trailers, and each line between two chunks."""
MAX_HEADERS = 128
"""Header fields of a request at most; also its trailers."""

_FORBIDDEN = re.compile(
    # A control character, a CR or an LF alone, a folded line.
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n|\n[ \t]"
)
_CHUNK_LINE = re.compile(rb"[0-9A-Fa-f]{1,16}(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_SINGLE = re.compile(
    rb"\r\n(host|content-length|transfer-encoding|content-type|content-encoding|authorization|idempotency-key|origin"
    rb"|expect):",
    re.IGNORECASE,
)
_FRAMING_FIELDS = (b"content-length", b"transfer-encoding")
_LENGTH_LIST = re.compile(rb"\r\ncontent-length:[^\r]*,", re.IGNORECASE)
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+;=-]+)(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
_SENT_AT_ONCE = 64 * 1024
"""Longest body that is sent together with its head; a longer one is not copied for that."""
_CHUNK_COST = 4
"""Bytes of the two line breaks around a chunk's data, which are counted once as framing and once with the data."""


class StrictConnection(h11.Connection):
    """The server's side of a connection; every stream of bytes is one sequence of requests, however it is cut up.

    Attributes:
        error: why the connection's bytes are no HTTP/1.1 that this service accepts; nothing after them is read.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        # h11 has no public way to the bytes behind an event. They are needed: it takes a bare LF as a line's end,
        # ignores what stands behind a chunk's size and has no limit for a head that arrives in one piece.
        self._receive_buffer: ReceiveBuffer = _StrictBuffer()
        self.error: h11.RemoteProtocolError | None = None
        # The head of an answer whose body is still to come.
        self._head = b""

    @property
    def buffered(self) -> bool:
        """Whether there are bytes that belong to no event yet."""
        return bool(self._receive_buffer)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """The next event.

        Raises:
            h11.RemoteProtocolError: what was sent is refused; ``error_status_hint`` is the status.
        """
        if self.error is not None:
            raise self.error
        try:
            event = super().next_event()
            return _accepted(event) if isinstance(event, h11.Request) else event
        except h11.RemoteProtocolError as error:
            self.error = error
            raise

    def send(self, event: h11.Event) -> Any:
        """The bytes of an event. The head of a short answer comes with its body: writing takes longer than framing.

        A final answer in place of ``100 Continue`` ends the connection: the client may send the body or not, so that
        the meaning of its next bytes is unknown.
        """
        if isinstance(event, h11.Response) and self.they_are_waiting_for_100_continue:
            headers = [*event.headers.raw_items(), (b"connection", b"close")]
            event = h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)
        output = super().send(event)
        if output is None:
            return None
        if isinstance(event, h11.Response) and _length(event) <= _SENT_AT_ONCE:
            self._head = output
            return b""
        output, self._head = self._head + output, b""
        return output


class _StrictBuffer(ReceiveBuffer):
    """Gives out heads, trailers and chunk lines only where they are written as RFC 9112 has them, within limits."""

    def __init__(self) -> None:
        super().__init__()
        self._extracted = bytearray()
        self._framing = 0
        self._data_bytes = 0

    def _extract(self, count: int) -> bytearray:
        self._extracted = super()._extract(count)
        return self._extracted

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """A head, or the trailers behind the last chunk."""
        lines = super().maybe_extract_lines()
        if lines is None:
            return None
        raw = self._extracted
        if len(raw) > MAX_HEAD_BYTES or len(lines) > MAX_HEADERS + 1:
            raise refused(f"more than {MAX_HEAD_BYTES:,} bytes or {MAX_HEADERS} fields", 431)
        if _FORBIDDEN.search(raw):
            raise refused("a control character, a line break that is not CR LF, or a folded line")
        if not self._framing:
            _check_single(raw)
        elif any(line.lower().startswith(_FRAMING_FIELDS) for line in lines):
            raise refused("a field in the trailers that frames the body")
        self._framing = self._data_bytes = 0
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """The line with a chunk's size.

        Sizes, extensions and line breaks may have 64 KiB and an eighth of the data: each chunk costs as much work as
        kilobytes of data. Ten thousand chunks with one event in each are within that.
        """
        line = super().maybe_extract_next_line()
        if line is None:
            return None
        if not _CHUNK_LINE.fullmatch(line):
            raise refused("the line before a chunk is not its size in hexadecimal")
        self._framing += len(line) + _CHUNK_COST
        if len(line) > MAX_HEAD_BYTES or self._framing > MAX_HEAD_BYTES + self._data_bytes // 8:
            raise refused("the chunks are too small or their extensions too long for the data in them", 413)
        return line

    def maybe_extract_at_most(self, count: int) -> bytearray | None:
        """Some of a body."""
        data = super().maybe_extract_at_most(count)
        self._data_bytes += len(data or b"")
        return data


def _length(response: h11.Response) -> float:
    """Length of the body; infinite where it ends with the last chunk or the connection."""
    return next((int(value) for name, value in response.headers if name == b"content-length"), math.inf)


def _check_single(head: bytearray) -> None:
    """Refuse a head with more than one value where one is trusted; h11 takes equal lengths as one."""
    names = [name.lower() for name in _SINGLE.findall(head)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise refused(f"{twice.decode()} stands more than once")
    if _LENGTH_LIST.search(head):
        raise refused("Content-Length is a list")


def refused(why: str, status: int = 400) -> h11.RemoteProtocolError:
    """The error for bytes that are refused."""
    return h11.RemoteProtocolError(why, error_status_hint=status)


def _accepted(request: h11.Request) -> h11.Request:
    """A request that leaves no doubt about its end and its target, with the target in origin form."""
    if request.http_version not in {b"1.1", b"1.0"}:
        raise refused("the version is neither HTTP/1.1 nor HTTP/1.0")
    headers = dict(request.headers)
    if b"transfer-encoding" in headers:
        if request.http_version == b"1.0":
            raise refused("HTTP/1.0 has no Transfer-Encoding")
        if b"content-length" in headers:
            raise refused("both Transfer-Encoding and Content-Length")
    host = headers.get(b"host")
    if host is not None and not _HOST.fullmatch(host):
        raise refused("Host is not a name or an address, with or without a port")
    if request.method == b"CONNECT":
        raise refused("this is not a proxy: CONNECT has no meaning here", 501)
    if request.target.startswith(b"/") or (request.target == b"*" and request.method == b"OPTIONS"):
        return request
    absolute = _ABSOLUTE.fullmatch(request.target)
    if absolute is None:
        raise refused("the target is not a path")
    authority, target = absolute.groups()
    if host is None or authority.lower() != host.lower():
        raise refused("the target names another host than Host")
    return h11.Request(
        method=request.method,
        headers=request.headers,
        target=target if target.startswith(b"/") else b"/" + target,
        http_version=request.http_version,
    )
