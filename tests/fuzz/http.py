"""The HTTP layer under streams of bytes: raw sockets against the real server, and an independent strict reader.

    python -m tests.fuzz.http --seconds 60

For every stream, however it is cut into segments: the application sees the requests that the strict reader finds in the
whole of it, no more and no less; each is answered; and a new connection is served afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import random
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from service.api.protocol import ConnectionLimits, GuardedProtocol

GOOD = b"GET /good HTTP/1.1\r\nHost: h\r\n\r\n"
_POST = b"POST /p?q HTTP/1.1\r\nHost: h\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
SEEDS: tuple[bytes, ...] = (
    GOOD,
    GOOD,
    _POST + b"Content-Length: 5\r\n\r\nhello",
    _POST + b"Content-Length: 0\r\n\r\n",
    _POST + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD,
    _POST + b"Upgrade: foo\r\nConnection: Upgrade\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD,
    _POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n[]",
    _CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    _CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD),
    _CHUNKED + b'1;a=b;c="d"\r\nx\r\n0;last\r\nX-Trailer: y\r\nHost: t\r\n\r\n',
    b"HEAD /head HTTP/1.1\r\nHost: h:80\r\nAccept: */*\r\n\r\n",
    b"DELETE http://h/absolute?x HTTP/1.1\r\nHost: h\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
    b"GET /old HTTP/1.0\r\n\r\n",
    b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
_ODD: tuple[bytes, ...] = (
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b"\0",
        b"\x0b",
        b"\x7f",
        b"\xa0",
        b"\xff",
        b":",
        b";",
        b",",
        b"#",
    ),
    *(
        b"0",
        b"1",
        b"5",
        b"0x",
        b"+",
        b"-",
        b"_",
        b"f" * 16,
        b"f" * 17,
        b"9" * 25,
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/1.2",
        b"/",
        b"*",
    ),
    *(b"\r\nContent-Length: 5", b"\r\nContent-Length: 0", b"\r\ncontent-length:5,5", b"\r\nTransfer-Encoding: chunked"),
    *(
        b"\r\nTransfer-Encoding: gzip, chunked",
        b"\r\nTransfer-Encoding : chunked",
        b"\r\n Content-Length: 1",
        b"\nX: y",
    ),
    *(
        b"\r\nUpgrade: h2c\r\nConnection: upgrade",
        b"\r\nHost: other",
        b"\r\nAuthorization: a",
        b"\r\nConnection: close",
        b"0\r\n\r\n",
    ),
    *(b"\r\nX: " + b"a" * 70_000, b"\r\nX: y" * 130, b";" + b"e" * 70_000),
)


@dataclass(frozen=True)
class Request:
    """A request as the application sees it."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def stream(source: random.Random) -> tuple[bytes, list[bytes]]:
    """Some requests, some of them damaged; and the same bytes in segments."""
    data = bytearray(b"".join(source.choices(SEEDS, k=source.randint(1, 4))))
    for _ in range(source.choice((0, 1, 1, 2, 4))):
        at = source.randrange(len(data) + 1)
        if source.random() < 0.5:
            # Where lines end is where readers disagree.
            at = source.choice([match.start() for match in re.finditer(rb"\r\n|$", data)])
        cut = source.choice((0, 0, 0, 1, 2, source.randrange(30)))
        data[at : at + cut] = source.choice((*_ODD, b"", bytes(data[at : at + 20]) * 2))
    cuts = sorted(source.randrange(len(data) + 1) for _ in range(source.choice((0, 1, 3, 8))))
    parts = [bytes(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return bytes(data), [part for part in parts if part]


_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rb"(%s) ([\x21-\x7e]+) HTTP/1\.([01])" % _TOKEN)
_FIELD = re.compile(
    rb"(%s):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\x20-\x7e\t\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*" % _TOKEN
)
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+;=-]+)(:[0-9]{0,5})?")
_ONCE: tuple[bytes, ...] = (
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"content-type",
    b"content-encoding",
    b"authorization",
)
_ONCE += (b"idempotency-key", b"origin", b"expect")


def read(data: bytes) -> list[Request]:
    """The complete requests in a stream, up to the first that must be refused or ends the connection."""
    found: list[Request] = []
    with contextlib.suppress(_Refused):
        while data:
            request, data, last = _read_one(data)
            found.append(request)
            if last:
                break
    return found


class _Refused(Exception):
    """What follows is no complete request, or one that must be refused."""


def _read_one(data: bytes) -> tuple[Request, bytes, bool]:
    (first, *lines), rest = _lines(data)
    line = _LINE.fullmatch(first) or _refuse()
    method, target, minor = line.groups()
    headers = _fields(lines)
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    if any(len(values.get(name, ())) > 1 for name in _ONCE) or method == b"CONNECT":
        _refuse()
    (host,) = values.get(b"host", [None])
    if (host is None and minor == b"1") or (host is not None and not _HOST.fullmatch(host)):
        _refuse()
    target = _origin_form(method, target, host)
    if b"transfer-encoding" in values:
        if values[b"transfer-encoding"][0].lower() != b"chunked" or b"content-length" in values or minor == b"0":
            _refuse()
        body, rest = _chunks(rest)
    else:
        (length,) = values.get(b"content-length", [b"0"])
        if not re.fullmatch(rb"[0-9]{1,20}", length) or len(rest) < int(length):
            _refuse()
        body, rest = rest[: int(length)], rest[int(length) :]
    options = [option.strip().lower() for value in values.get(b"connection", ()) for option in value.split(b",")]
    headers = [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in headers]
    return Request(method, target, tuple(headers), body), rest, b"close" in options or minor == b"0"


def _lines(data: bytes) -> tuple[list[bytes], bytes]:
    end = data.find(b"\r\n\r\n")
    if end < 0 or end + 4 > 65_536:
        _refuse()
    lines = data[:end].split(b"\r\n")
    if len(lines) > 129:
        _refuse()
    return lines, data[end + 4 :]


def _fields(lines: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    fields = []
    for line in lines:
        one = _FIELD.fullmatch(line)
        if one is None:
            raise _Refused
        fields.append((one[1].lower(), one[2]))
    return fields


def _origin_form(method: bytes, target: bytes, host: bytes | None) -> bytes:
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target
    absolute = re.fullmatch(rb"(?i:https?)://([^/?#]*)([^#]*)", target)
    if absolute is None or host is None or absolute[1].lower() != host.lower():
        raise _Refused
    return absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    body, framing = b"", 0
    while True:
        line, found, data = data.partition(b"\r\n")
        size = re.fullmatch(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?", line)
        framing += len(line)
        # No stream here is long enough for the limit of all chunks together to be other than this.
        if not found or size is None or framing > 65_000:
            raise _Refused
        length = int(size[1], 16)
        if length == 0:
            break
        if data[length : length + 2] != b"\r\n":
            _refuse()
        body, data = body + data[:length], data[length + 2 :]
    if data.startswith(b"\r\n"):
        return body, data[2:]
    trailers, data = _lines(data)
    if any(name.startswith((b"content-length", b"transfer-encoding")) for name, _ in _fields(trailers)):
        raise _Refused
    return body, data


def _refuse() -> Any:
    raise _Refused


@dataclass
class Recorder:
    """An application that notes every complete request and answers 200."""

    seen: list[Request] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        headers = tuple((bytes(name), bytes(value)) for name, value in scope["headers"])
        self.seen.append(Request(scope["method"].encode(), scope["raw_path"] + query, headers, body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@contextlib.contextmanager
def recording() -> Iterator[tuple[Recorder, int]]:
    """The server's HTTP layer around a recorder, and its port."""
    recorder = Recorder()
    protocol: Any = functools.partial(GuardedProtocol, limits=ConnectionLimits(1000, 30.0))
    config = uvicorn.Config(recorder, http=protocol, ws="none", lifespan="off", access_log=False, log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield recorder, listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def check(recorder: Recorder, port: int, data: bytes, segments: Sequence[bytes]) -> int:
    """Send one stream; the number of requests in it.

    Raises:
        AssertionError: the application saw other requests, or one was not answered.
    """
    expected = read(data)
    recorder.seen.clear()
    statuses = _statuses(port, segments, len(expected))
    # Once this one has been answered, whatever a wrong reading would have begun is noted too.
    assert _statuses(port, [GOOD], 1) == [200], "a new connection is not served"
    _same(recorder.seen, [*expected, Request(b"GET", b"/good", ((b"host", b"h"),), b"")])
    assert statuses[: len(expected)] == [200] * len(expected), statuses
    assert all(status in {400, 413, 431, 501} for status in statuses[len(expected) :]), statuses
    assert len(statuses) <= len(expected) + 1, statuses
    return len(expected)


def _same(seen: Sequence[Request], expected: Sequence[Request]) -> None:
    # Two texts of seventy thousand bytes side by side help nobody.
    for number, (one, other) in enumerate(zip(seen, expected, strict=False)):
        assert one == other, f"request {number}: {str(one)[:2000]}, not {str(other)[:2000]}"
    assert len(seen) == len(expected), f"{len(seen)} requests, not {len(expected)}: {str(seen)[:2000]}"


def _statuses(port: int, segments: Sequence[bytes], expected: int) -> list[int]:
    """The statuses of the answers, interim ones left out."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, contextlib.suppress(ConnectionError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for segment in segments:
            connection.sendall(segment)
            # Long enough for the server to take most segments one by one.
            time.sleep(0.0005)
        while True:
            found = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", received)]
            if sum(status != 100 for status in found) >= expected:
                # A refusal may still come; nothing that follows is waited for long.
                connection.settimeout(0.003)
            try:
                part = connection.recv(65536)
            except TimeoutError:
                break
            if not part:
                break
            received += part
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", received) if status != b"100"]


def main() -> None:
    """Try streams until the time is over; what breaks a promise is kept in a file, and the program ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="of the first stream; each next one has one more")
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"))
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.randrange(10**9)
    end, tried, requests = time.monotonic() + given.seconds, 0, 0
    with recording() as (recorder, port):
        while time.monotonic() < end:
            data, segments = stream(random.Random(seed + tried))
            try:
                requests += check(recorder, port, data, segments)
            except AssertionError:
                given.keep.mkdir(exist_ok=True)
                (given.keep / f"http-{seed + tried}").write_bytes(data)
                sys.stderr.write(f"seed {seed + tried}: {given.keep}/http-{seed + tried}\n")
                raise
            tried += 1
    sys.stdout.write(f"{tried:,} streams with {requests:,} requests from seed {seed}: nothing found\n")


if __name__ == "__main__":
    main()
