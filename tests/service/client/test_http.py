"""Both clients against a real HTTP server that answers as the test wants."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from service.client import Busy, Client, NoService, ServiceError, Unreachable, UpsertNode
from tests.service.client.conftest import Connect

GROUP = b'{"students": [], "decisions": []}'
PREDICTIONS = b'{"predictions": []}'


def accepted(position: str) -> bytes:
    return b'{"position": "%s", "accepted": 1}' % position.encode()


@dataclass
class Reply:
    """An answer; one without a status is a connection that breaks."""

    status: int | None = 200
    body: bytes = GROUP
    headers: dict[str, str] = field(default_factory=dict)


class Scripted(http.server.ThreadingHTTPServer):
    """Gives the replies in their order, the last one again and again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = [Reply()]
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.connections: set[int] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Scripted
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.server.connections.add(self.client_address[1])
        reply = self.server.replies.pop(0) if len(self.server.replies) > 1 else self.server.replies[0]
        if reply.status is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def refusal(retry_after: str = "0", status: int = 429) -> Reply:
    return Reply(status, b"full", {"Retry-After": retry_after})


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_refusal_is_waited_out_on_one_connection(server: Scripted, connect: Connect, status: int) -> None:
    server.replies = [refusal(status=status), refusal(status=status), Reply()]
    assert connect(server.address).students().students == []
    assert len(server.asked) == 3
    assert len(server.connections) == 1


def test_nothing_is_waited_for_that_comes_after_the_end_of_patience(server: Scripted, connect: Connect) -> None:
    server.replies = [refusal("2"), Reply()]
    with pytest.raises(Busy, match="answered 429: full") as refused:
        connect(server.address, patience_s=1).students()
    assert len(server.asked) == 1
    assert (refused.value.retry_after_s, refused.value.problem.status) == (2.0, 429)


def test_the_wait_ends_when_the_program_stops(server: Scripted) -> None:
    server.replies = [refusal("50"), Reply()]
    stop = threading.Event()
    stop.set()
    with Client(server.address, stop=stop) as client, pytest.raises(Busy):
        client.students()
    assert len(server.asked) == 1


def test_a_batch_whose_answer_is_lost_is_sent_again_with_its_key(server: Scripted, connect: Connect) -> None:
    server.replies = [Reply(None), Reply(202, accepted("7-0"))]
    client = connect(server.address)
    assert client.append([UpsertNode(id="a")]).position == "7-0"
    client.append([UpsertNode(id="a")])
    client.append([UpsertNode(id="a")], key="mine")
    lost, again, other, given = [headers["idempotency-key"] for _, headers in server.asked]
    assert lost == again != other
    assert given == "mine"


def test_a_read_waits_for_the_writes_before_it(server: Scripted, connect: Connect) -> None:
    server.replies = [
        Reply(body=PREDICTIONS),
        Reply(202, accepted("9-1")),
        Reply(202, accepted("10-0")),
        Reply(202, accepted("9-2")),
        Reply(body=PREDICTIONS),
    ]
    client = connect(server.address)
    client.predict(["a"])
    assert client.position is None
    for _ in range(3):
        client.append([UpsertNode(id="a")])
    assert client.position == "10-0"
    client.predict(["a"])
    client.predict(["a"], min_position="3-0")
    paths = [path for path, _ in server.asked if path.startswith("/predict")]
    assert "min_position" not in paths[0]
    assert "min_position=10-0" in paths[1]
    assert "min_position=3-0" in paths[2]


def test_a_read_waits_for_nothing_where_that_is_turned_off(server: Scripted, connect: Connect) -> None:
    server.replies = [Reply(202, accepted("9-1")), Reply(body=PREDICTIONS)]
    client = connect(server.address, read_own_writes=False)
    client.append([UpsertNode(id="a")])
    client.predict(["a"])
    assert "min_position" not in server.asked[-1][0]
    assert client.position == "9-1"


def test_the_key_is_sent(server: Scripted, connect: Connect) -> None:
    connect(server.address, key="secret").students()
    assert server.asked[0][1]["authorization"] == "Bearer secret"


def test_an_answer_of_something_else_is_named(server: Scripted, connect: Connect) -> None:
    server.replies = [Reply(body=b"<html>")]
    with pytest.raises(ServiceError, match=r"GET .*/students answered 200 with what this client does not read"):
        connect(server.address).students()
    server.replies = [Reply(404, b"{", {"Content-Type": "application/problem+json"})]
    with pytest.raises(ServiceError, match=r"GET .*/students answered 404"):
        connect(server.address).students()


def test_an_attempt_that_takes_too_long_ends(connect: Connect) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), _Handler) as silent:
        client = connect(f"http://127.0.0.1:{silent.server_port}", timeout_s=0.05, patience_s=0)
        with pytest.raises(Unreachable, match="no answer from"):
            client.live()


@pytest.mark.parametrize(
    "address", ["ftp://example.org", "http://[bad", "localhost:8000", "http://", "http://example.org:99999", "nowhere"]
)
def test_what_is_no_address_of_a_service_is_refused(connect: Connect, address: str) -> None:
    with pytest.raises(NoService) as refused:
        connect(address)
    assert str(refused.value).startswith(f"{address} is no address of a service (")
    assert "http://127.0.0.1:8000" in str(refused.value)


def test_one_id_is_not_taken_for_a_list(server: Scripted, connect: Connect) -> None:
    with pytest.raises(TypeError, match=r"write \['p1'\], or use predict_one"):
        connect(server.address).predict("p1")
    assert server.asked == []
