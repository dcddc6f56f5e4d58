"""An HTTP client that costs little: on two cores every microsecond of it is taken from the service."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

IDLE_S = 2.0
"""A connection that was not used for so long is opened anew: servers close those that idle for some seconds."""

_TIMEOUT_S = 120.0


class Refused(RuntimeError):
    """An answer that is an error."""

    def __init__(self, head: bytes, body: bytes) -> None:
        super().__init__(f"{head.decode()}\n{body.decode()}")
        self.status = int(head[9:12])


class Connection:
    """One connection that is kept alive, with one request at a time on it.

    Args:
        url: of the service.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        self._address = parts.hostname, parts.port
        self.socket = self._open()
        self._used = time.monotonic()
        self._buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        return self.exchange(get_request(self.host, path))

    def post(self, path: str, body: bytes) -> bytes:
        """The body of the answer."""
        return self.exchange(post_request(self.host, path, body))

    def put(self, path: str, body: bytes) -> bytes:
        """The body of the answer."""
        return self.exchange(post_request(self.host, path, body, "PUT"))

    def exchange(self, request: bytes) -> bytes:
        """Send a request as it stands and wait for its answer."""
        if time.monotonic() - self._used > IDLE_S:
            self.socket.close()
            self.socket = self._open()
        self.socket.sendall(request)
        while (answer := self.receive()) is None:
            pass
        self._used = time.monotonic()
        return answer

    def receive(self) -> bytes | None:
        """Read what is there; the body once the answer is whole.

        Raises:
            Refused: where the answer is an error.
        """
        part = self.socket.recv(1 << 18)
        if not part:
            raise RuntimeError("the service closed the connection")
        self._buffer += part
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        _, _, rest = head.lower().partition(b"content-length:")
        if len(body) < int(rest.partition(b"\r\n")[0]):
            return None
        self._buffer = b""
        if head[9:10] != b"2":
            raise Refused(head, body)
        return body

    def _open(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=_TIMEOUT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def get_request(host: str, path: str) -> bytes:
    """A GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()


def post_request(host: str, path: str, body: bytes, method: str = "POST") -> bytes:
    """A POST of JSON, or a PUT, as it goes over the wire."""
    fields = f"host: {host}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{method} {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body


def closed_loop(url: str, connections: int, seconds: float, request: Callable[[str], bytes | None]) -> list[float]:
    """Keep that many connections busy, each sending its next request when the last one is answered.

    Args:
        url: of the service.
        connections: how many.
        seconds: for how long.
        request: makes the next request for a host; None where there is none left.

    Returns:
        Seconds from each request to its answer.
    """
    deadline = time.perf_counter() + seconds
    busy: dict[int, tuple[Connection, float]] = {}
    times: list[float] = []

    def send(connection: Connection) -> None:
        wanted = request(connection.host) if time.perf_counter() < deadline else None
        if wanted is None:
            busy.pop(connection.socket.fileno(), None)
        else:
            busy[connection.socket.fileno()] = connection, time.perf_counter()
            connection.socket.sendall(wanted)

    with contextlib.ExitStack() as opened:
        poll = opened.enter_context(contextlib.closing(select.epoll()))
        for _ in range(connections):
            connection = opened.enter_context(Connection(url))
            poll.register(connection.socket.fileno(), select.EPOLLIN)
            send(connection)
        while busy:
            for number, _ in poll.poll():
                connection, sent = busy[number]
                if connection.receive() is not None:
                    times.append(time.perf_counter() - sent)
                    send(connection)
    return times
