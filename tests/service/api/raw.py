"""Bytes to and from a running server: what no HTTP client would send."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""A request that is answered 200."""


@dataclass(frozen=True)
class Answer:
    """One answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> str:
        """The kind of problem, which the body must hold."""
        assert self.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = json.loads(self.body)
        assert document["status"] == self.status
        assert document["detail"]
        return str(document["type"]).removeprefix("urn:olad:problem:")


@contextlib.contextmanager
def connected(client: httpx.Client) -> Iterator[socket.socket]:
    """A connection to the client's server."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=30) as connection:
        # A segment for each send.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes; a reset counts as closing."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def exchange(client: httpx.Client, *segments: bytes, pause_s: float = 0.02) -> list[Answer]:
    """Send segments on one connection, then read all answers until the server closes."""
    with connected(client) as connection:
        with contextlib.suppress(ConnectionError):
            for number, segment in enumerate(segments):
                if number:
                    time.sleep(pause_s)
                connection.sendall(segment)
        return answers(everything(connection))


def answers(received: bytes) -> list[Answer]:
    """Split what a server sent; every answer of this one has a length."""
    found = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        assert end, head
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split()[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers["content-length"]) if status != 100 else 0
        assert len(received) >= length
        found.append(Answer(status, headers, received[:length]))
        received = received[length:]
    return found
