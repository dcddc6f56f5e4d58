"""Clients that are slow, silent, talkative or many: raw sockets against the real server."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from service.api.framing import MAX_HEAD_BYTES
from service.api.protocol import connections_possible
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.api.raw import connected, everything
from tests.service.api.serving import assert_problem, serving
from tests.service.publications import publication

HEAD = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
def impatient(redis_server: RedisServer, graph: str) -> Iterator[httpx.Client]:
    with serving(redis_server.url, graph, read_timeout_s=0.3) as client:
        yield client


def problem_of(answer: bytes) -> tuple[int, dict[str, object]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)


class TestSlowClients:
    def test_one_that_says_nothing_is_let_go(self, impatient: httpx.Client) -> None:
        with connected(impatient) as connection:
            assert everything(connection) == b""

    def test_one_that_never_ends_its_head_is_let_go(self, impatient: httpx.Client) -> None:
        with connected(impatient) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /status HTTP/1.1\r\n")
            for number in range(1000):
                connection.sendall(b"X-%d: y\r\n" % number)
                time.sleep(0.02)
            pytest.fail("the connection was kept")

    def test_one_that_never_ends_its_body_is_told(self, impatient: httpx.Client) -> None:
        with connected(impatient) as connection:
            connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n[")
            status, body = problem_of(everything(connection))
        assert (status, body["type"]) == (408, "urn:olad:problem:too-slow")

    def test_a_body_in_drops_gets_no_more_time(self, impatient: httpx.Client) -> None:
        with connected(impatient) as connection:
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                for _ in range(1000):
                    connection.sendall(b"1\r\n \r\n")
                    time.sleep(0.02)
                pytest.fail("the connection was kept")

    def test_the_second_request_of_a_connection_has_its_own_time(self, impatient: httpx.Client) -> None:
        with connected(impatient) as connection:
            for _ in range(3):
                connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
                time.sleep(0.2)
            connection.sendall(b"GET /he")
            assert everything(connection) == b""

    def test_a_slow_answer_is_not_a_slow_client(
        self, impatient: httpx.Client, writer: PredictionWriter, keys: Keys
    ) -> None:
        writer.publish(publication("1-0", {"a": [0.25, 0.75]}))
        answer = impatient.get("/predict/a", params={"min_position": "9999999999999-0", "timeout_ms": 900})
        assert_problem(answer, 504, "position-not-reached")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="an option of Linux")
def test_the_kernel_ends_a_connection_whose_client_takes_nothing_or_has_vanished(api: httpx.Client) -> None:
    with connected(api) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(1)
        (number,) = [one.fd for one in psutil.Process().net_connections("tcp") if one.raddr == connection.getsockname()]
        with socket.socket(fileno=os.dup(number)) as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


class TestTalkativeClients:
    def test_a_head_without_end_is_refused(self, api: httpx.Client) -> None:
        with connected(api) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"GET /status HTTP/1.1\r\nX-Long: ")
                for _ in range(MAX_HEAD_BYTES // 1024 + 64):
                    connection.sendall(b"a" * 1024)
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 431")

    def test_so_is_one_of_many_headers_and_one_of_a_long_address(self, api: httpx.Client) -> None:
        many = b"GET /status HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(20_000))
        for head in (many, b"GET /predict/" + b"a" * 200_000):
            with connected(api) as connection:
                with contextlib.suppress(ConnectionError):
                    for first in range(0, len(head), 8192):
                        connection.sendall(head[first : first + 8192])
                assert connection.recv(65536).startswith(b"HTTP/1.1 431")

    def test_a_long_head_within_the_limit_is_served(self, api: httpx.Client) -> None:
        assert api.get("/health/live", headers={"x-long": "a" * 60_000}).status_code == 200

    @pytest.mark.parametrize(
        "sent",
        [
            b"\x16\x03\x01\x02\x00",
            b"nonsense\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /\x00 HTTP/1.1\r\n\r\n",
            b"\0" * 99,
        ],
    )
    def test_what_is_not_http_is_refused_in_the_same_form(self, api: httpx.Client, sent: bytes) -> None:
        with connected(api) as connection:
            connection.sendall(sent)
            status, body = problem_of(everything(connection))
        assert (status, body["type"]) == (400, "urn:olad:problem:bad-request")

    def test_an_upgrade_is_not_one(self, api: httpx.Client) -> None:
        headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x"}
        assert api.get("/health/live", headers=headers).status_code == 200

    def test_two_lengths_are_refused(self, api: httpx.Client) -> None:
        """They are how requests are smuggled past a proxy."""
        length = b"Content-Length: 2\r\n"
        for extra in (length + b"Content-Length: 3\r\n", length + b"Transfer-Encoding: chunked\r\n"):
            with connected(api) as connection:
                connection.sendall(HEAD + extra + b"\r\n[]")
                status, _ = problem_of(everything(connection))
            assert status == 400

    def test_a_body_that_is_too_long_ends_the_connection(self, api: httpx.Client) -> None:
        with connected(api) as connection:
            connection.sendall(HEAD + b"Content-Length: 99999999999\r\n\r\n")
            status, _ = problem_of(everything(connection))
        assert status == 413


class TestManyClients:
    def test_one_too_many_is_told_so_and_the_others_go_on(self, redis_server: RedisServer, graph: str) -> None:
        with serving(redis_server.url, graph, max_connections=3) as client, contextlib.ExitStack() as held:
            assert client.get("/health/live").status_code == 200
            for _ in range(2):
                held.enter_context(connected(client))
            # A connection counts once the server has taken it, which a request on a fourth one waits for.
            with connected(client) as fourth:
                status, body = problem_of(everything(fourth))
            assert (status, body["type"]) == (503, "urn:olad:problem:too-many-connections")
            assert client.get("/health/live").status_code == 200

    def test_idle_ones_keep_nobody_out(self, api: httpx.Client) -> None:
        with contextlib.ExitStack() as held:
            for _ in range(400):
                held.enter_context(connected(api))
            for _ in range(3):
                assert api.get("/status").status_code == 200

    def test_waiting_has_a_limit(self, redis_server: RedisServer, graph: str, writer: PredictionWriter) -> None:
        writer.publish(publication("1-0", {"a": [0.25, 0.75]}))
        question: dict[str, str | int] = {"min_position": "9999999999999-0", "timeout_ms": 0}
        with serving(redis_server.url, graph, max_waiting=0) as client:
            refused = client.get("/predict/a", params=question)
            assert_problem(refused, 503, "too-many-waiting")
            assert refused.headers["retry-after"] == "1"
            assert client.get("/predict/a").status_code == 200
        with serving(redis_server.url, graph, max_waiting=1) as client:
            assert_problem(client.get("/predict/a", params=question), 504, "position-not-reached")

    def test_there_are_no_more_connections_than_files(self) -> None:
        assert connections_possible(10) == 10
        assert 0 < connections_possible(10**9) < 10**9


def test_a_client_that_shuts_its_side_still_gets_its_answer(api: httpx.Client) -> None:
    with connected(api) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert b'{"live":true}' in everything(connection)
