"""The client against a real HTTP server that refuses a set number of requests."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from service.client.http import Client, ServiceError


class Busy(http.server.ThreadingHTTPServer):
    """Answers 429 a number of times, then an empty group of students."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refusals = 0
        self.retry_after = "0"
        self.asked = 0


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Busy

    def do_GET(self) -> None:
        self.server.asked += 1
        refused = self.server.asked <= self.server.refusals
        body = b"full" if refused else b'{"students": [], "decisions": []}'
        self.send_response(429 if refused else 200)
        self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def busy() -> Iterator[Busy]:
    with Busy() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_refusal_is_waited_out(busy: Busy) -> None:
    busy.refusals = 2
    with Client(f"http://127.0.0.1:{busy.server_port}") as client:
        assert client.students().students == []
    assert busy.asked == 3


def test_nothing_is_waited_for_that_comes_after_the_end_of_patience(busy: Busy) -> None:
    busy.refusals, busy.retry_after = 1, "2"
    address = f"http://127.0.0.1:{busy.server_port}"
    with Client(address, patience_s=1) as client, pytest.raises(ServiceError, match="answered 429: full"):
        client.students()
    assert busy.asked == 1


@pytest.mark.parametrize(
    "address", ["ftp://example.org", "http://[bad", "localhost:8000", "http://", "http://example.org:99999", "nowhere"]
)
def test_what_is_no_address_of_a_service_is_said_to_be_none(address: str) -> None:
    with pytest.raises(ServiceError) as refused:
        Client(address, patience_s=0).status()
    assert str(refused.value).startswith(f"{address} is no address of a service (")
    assert "http://127.0.0.1:8000" in str(refused.value)
    assert "is the service running?" not in str(refused.value)
