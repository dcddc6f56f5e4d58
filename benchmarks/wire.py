"""An HTTP client that costs little: on two cores every microsecond of it is taken from the service."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

IDLE_S = 2.0
"""A connection that was not used for so long is opened anew: servers close those that idle for some seconds."""


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

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        return self.exchange(get_request(self.host, path))

    def post(self, path: str, body: bytes) -> bytes:
        """The body of the answer."""
        return self.exchange(post_request(self.host, path, body))

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
        connection = socket.create_connection(self._address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def get_request(host: str, path: str) -> bytes:
    """A GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()


def post_request(host: str, path: str, body: bytes) -> bytes:
    """A POST of JSON as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def closed_loop(url: str, connections: int, seconds: float, request: Callable[[str], bytes]) -> list[float]:
    """Keep that many connections busy, each sending its next request when the last one is answered.

    Args:
        url: of the service.
        connections: how many.
        seconds: for how long.
        request: makes the next request for a host.

    Returns:
        Seconds from each request to its answer.
    """
    ends = {connection.socket.fileno(): connection for connection in (Connection(url) for _ in range(connections))}
    poll = select.epoll()
    sent: dict[int, float] = {}
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    for number, connection in ends.items():
        poll.register(number, select.EPOLLIN)
        sent[number] = time.perf_counter()
        connection.socket.sendall(request(connection.host))
    while True:
        for number, _ in poll.poll():
            connection = ends[number]
            if connection.receive() is None:
                continue
            now = time.perf_counter()
            times.append(now - sent[number])
            if now > deadline:
                return times
            sent[number] = now
            connection.socket.sendall(request(connection.host))
