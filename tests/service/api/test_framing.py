"""Where a request ends: RFC 9110 and 9112, and the ways to make two readers of one connection disagree."""

from __future__ import annotations

import resource
import time
import uuid
from collections.abc import Iterator

import h11
import httpx
import pytest

from olad_core.events import MAX_EVENTS
from service.api.framing import MAX_HEAD_BYTES, MAX_HEADERS, StrictConnection
from tests.redis_server import RedisServer
from tests.service.api.raw import LIVE, connected, everything, exchange
from tests.service.api.serving import serving

LAST = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
"""Answered, and the connection ends."""
HIDDEN = b"PUT /schema HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n"
HIDDEN += b'{"directed":true}'
"""A request that must not be seen where it is a body."""
JSON = b"Host: localhost\r\nContent-Type: application/json\r\n"


def head(*lines: bytes, first: bytes = b"POST /predict HTTP/1.1") -> bytes:
    return b"\r\n".join((first, b"Host: localhost", b"Content-Type: application/json", *lines, b"", b""))


def chunked(*lines: bytes) -> bytes:
    return head(b"Transfer-Encoding: chunked", *lines)


@pytest.fixture(scope="module")
def api(redis_server: RedisServer) -> Iterator[httpx.Client]:
    """One API for all tests that leave nothing behind."""
    with serving(redis_server.url, f"test-{uuid.uuid4().hex}") as client:
        yield client


class TestAnswers:
    @staticmethod
    def asked() -> StrictConnection:
        connection = StrictConnection()
        connection.receive_data(LIVE)
        assert isinstance(connection.next_event(), h11.Request)
        return connection

    def test_a_short_body_is_sent_together_with_its_head(self) -> None:
        connection = self.asked()
        assert connection.send(h11.Response(status_code=200, headers=[("content-length", "2")])) == b""
        assert connection.send(h11.Data(data=b"ok")) == b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok"
        assert connection.send(h11.EndOfMessage()) == b""

    @pytest.mark.parametrize("fields", [[], [("content-length", str(10**6))]], ids=["a stream", "a long body"])
    def test_another_head_is_sent_at_once(self, fields: list[tuple[str, str]]) -> None:
        connection = self.asked()
        assert connection.send(h11.Response(status_code=200, headers=fields)).endswith(b"\r\n\r\n")
        assert b"HTTP/1.1" not in connection.send(h11.Data(data=b"ok"))


class TestUpgrade:
    @pytest.mark.parametrize("wanted", [b"foo", b"websocket", b"h2c", b"TLS/1.0, HTTP/1.1"])
    @pytest.mark.parametrize("first", [b"POST /predict", b"GET /health/live", b"DELETE /status"])
    @pytest.mark.parametrize("together", [True, False])
    def test_its_body_is_a_body(self, api: httpx.Client, wanted: bytes, first: bytes, together: bool) -> None:
        offer = head(
            b"Upgrade: " + wanted,
            b"Connection: Upgrade",
            b"Content-Length: %d" % len(HIDDEN),
            first=first + b" HTTP/1.1",
        )
        sent = offer + HIDDEN + LAST
        found = exchange(api, sent) if together else exchange(api, offer, HIDDEN, LAST)
        assert len(found) == 2
        assert found[-1].body == b'{"live":true}'
        assert api.get("/schema").json()["directed"] is False

    def test_its_chunked_body_is_a_body(self, api: httpx.Client) -> None:
        offer = chunked(b"Upgrade: foo", b"Connection: upgrade")
        found = exchange(api, offer, b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN), LAST)
        assert [answer.status for answer in found] == [422, 200]

    def test_without_a_body_the_next_request_is_answered(self, api: httpx.Client) -> None:
        offer = LIVE.replace(b"\r\n\r\n", b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        assert [answer.status for answer in exchange(api, offer + LIVE, LAST)] == [200, 200, 200]


class TestRefusals:
    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (head(b"Content-Length: 2", b"Transfer-Encoding: chunked"), 400),
            (head(b"Transfer-Encoding: chunked", b"Content-Length: 2"), 400),
            (head(b"Content-Length: 2", b"Content-Length: 2"), 400),
            (head(b"Content-Length: 2", b"Content-Length: 3"), 400),
            (head(b"Content-Length: 2, 2"), 400),
            (head(b"Content-Length: 2,"), 400),
            (head(b"Content-Length: +2"), 400),
            (head(b"Content-Length: -2"), 400),
            (head(b"Content-Length: 0x2"), 400),
            (head(b"Content-Length: 2 2"), 400),
            (head(b"Content-Length: 2.0"), 400),
            (head(b"Content-Length: " + b"9" * 30), 400),
            (head(b"Content-Length:"), 400),
            (head(b"Content-Length: \xb2"), 400),
            (head(b"Transfer-Encoding: gzip, chunked"), 501),
            (head(b"Transfer-Encoding: chunked, gzip"), 501),
            (head(b"Transfer-Encoding: chunked, chunked"), 501),
            (head(b"Transfer-Encoding: identity"), 501),
            (head(b"Transfer-Encoding: xchunked"), 501),
            (head(b"Transfer-Encoding: chunked;q=1"), 501),
            (head(b'Transfer-Encoding: "chunked"'), 501),
            (head(b"Transfer-Encoding:"), 501),
            (head(b"Transfer-Encoding: \x0bchunked"), 400),
            (head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
            (head(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"), 400),
            (head(b"Transfer-Encoding: chunked", first=b"POST /predict HTTP/1.0"), 400),
            (head(b"Transfer-Encoding : chunked"), 400),
            (head(b"Transfer-Encoding\t: chunked"), 400),
            (head(b"Transfer-Encoding\x00: chunked"), 400),
            (head(b"X: y\nTransfer-Encoding: chunked"), 400),
            (head(b"X: y\rTransfer-Encoding: chunked"), 400),
            (head(b"X: y\x00z"), 400),
            (head(b"X: y\x1bz"), 400),
            (head(b"X: y\x7fz"), 400),
            (head(b"X: y", b" folded"), 400),
            (head(b" folded"), 400),
            (head(b"no colon"), 400),
            (head(b": no name"), 400),
            (head(b"X(: y"), 400),
            (head(b"X\xe9: y"), 400),
            (head(b"Host: localhost"), 400),
            (head(b"hOST: other"), 400),
            (head(b"Authorization: Bearer a", b"authorization: Bearer b"), 400),
            (head(b"Authorization: Bearer a", b"Authorization: Bearer a"), 400),
            (head(b"Content-Type: text/plain"), 400),
            (head(b"Idempotency-Key: a", b"Idempotency-Key: b"), 400),
            (head(b"Origin: http://localhost", b"Origin: null"), 400),
            (b"GET /health/live HTTP/1.1\r\n\r\n", 400),
            (b"GET /health/live HTTP/1.1\r\nHost:\r\n\r\n", 400),
            (b"GET /health/live HTTP/1.1\r\nHost: localhost, other\r\n\r\n", 400),
            (b"GET /health/live HTTP/1.1\r\nHost: localhost other\r\n\r\n", 400),
            (b"GET /health/live HTTP/1.1\r\nHost: user@localhost\r\n\r\n", 400),
            (b"GET /health/live HTTP/1.1\r\nHost: localhost/\r\n\r\n", 400),
            (b"GET /health/live HTTP/1.1\nHost: localhost\n\n", 400),
            (b"GET /health/live\r\n\r\n", 400),
            (b"GET  /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET /health/live  HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET\t/health/live\tHTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b" GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET /health/live http/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET /health/live HTTP/1.10\r\nHost: localhost\r\n\r\n", 400),
            (b"GET /health/live HTTP/1.2\r\nHost: localhost\r\n\r\n", 400),
            (b"GET /health/\xe9 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"G(T /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET http://other/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET ftp://localhost/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 501),
            (b"CONNECT /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            (chunked() + b"0x2\r\n[]\r\n0\r\n\r\n", 400),
            (chunked() + b"+2\r\n[]\r\n0\r\n\r\n", 400),
            (chunked() + b"-2\r\n[]\r\n0\r\n\r\n", 400),
            (chunked() + b" 2\r\n[]\r\n0\r\n\r\n", 400),
            (chunked() + b"2 \r\n[]\r\n0\r\n\r\n", 400),
            (chunked() + b"2_0\r\n[]\r\n0\r\n\r\n", 400),
            (chunked() + b"\r\n[]\r\n0\r\n\r\n", 400),
            (chunked() + b";a\r\n[]\r\n0\r\n\r\n", 400),
            (chunked() + b"2\n[]\r\n0\r\n\r\n", 400),
            (chunked() + b"2;a\rb\r\n[]\r\n0\r\n\r\n", 400),
            (chunked() + b"2;a\nb\r\n[]\r\n0\r\n\r\n", 400),
            (chunked() + b"2\r\n[]\n0\r\n\r\n", 400),
            (chunked() + b"2\r\n[]]\r\n0\r\n\r\n", 400),
            (chunked() + b"1" * 17 + b"\r\n[]\r\n0\r\n\r\n", 400),
            (chunked() + b"2\r\n[]\r\n0\r\n\n", 400),
            (chunked() + b"2\r\n[]\r\n0\r\na: b\n\r\n", 400),
            (chunked() + b"2\r\n[]\r\n0\r\na : b\r\n\r\n", 400),
            (chunked() + b"2\r\n[]\r\n0\r\nContent-Length: 2\r\n\r\n", 400),
            (chunked() + b"2\r\n[]\r\n0\r\na: b\r\ntransfer-encoding: chunked\r\n\r\n", 400),
            (chunked() + b"2\r\n[]\r\n0\r\n folded\r\n\r\n", 400),
        ],
    )
    def test_is_told_and_nothing_after_it_is_read(self, api: httpx.Client, sent: bytes, status: int) -> None:
        for segments in ([sent + LIVE], [sent, LIVE], [sent[:-1], sent[-1:] + LIVE]):
            (answer,) = exchange(api, *segments, pause_s=0.005)
            assert answer.status == status
            assert answer.problem == {400: "bad-request", 501: "not-implemented"}[status]
            assert answer.headers["connection"] == "close"
        assert api.get("/health/live").status_code == 200

    def test_quotes_nothing(self, api: httpx.Client) -> None:
        (answer,) = exchange(api, head(b"Authorization : Bearer olad_secret"))
        assert b"olad_secret" not in answer.body

    def test_of_the_rest_of_a_body_is_no_second_answer(self, api: httpx.Client) -> None:
        refused = exchange(api, chunked().replace(b"/predict", b"/nowhere"), b"nonsense\r\n", LIVE)
        assert [answer.status for answer in refused] == [404]

    def test_comes_after_the_answers_before_it(self, api: httpx.Client) -> None:
        found = exchange(api, LIVE + LIVE + b"GET /health/live HTTP/1.1\r\n\r\n" + LIVE)
        assert [answer.status for answer in found] == [200, 200, 400]


class TestAccepted:
    @pytest.mark.parametrize(
        ("sent", "statuses"),
        [
            (LIVE * 5, [200] * 5),
            (head(b"Content-Length: 002") + b"[]" + LIVE, [422, 200]),
            (head(b"TRANSFER-ENCODING:\tChunked ") + b"2\r\n[]\r\n0\r\n\r\n" + LIVE, [422, 200]),
            (chunked() + b'002;a=b ; c="d"\r\n[]\r\n0;last\r\n\r\n' + LIVE, [422, 200]),
            (chunked() + b"2\r\n[]\r\n0\r\nX-Trailer: y\r\n\r\n" + LIVE, [422, 200]),
            (LIVE.replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\nGET ") + LIVE, [200, 200]),
            (b"GET http://localhost/health/live HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n" + LIVE, [200, 200]),
            (b"GET http://localhost?a HTTP/1.1\r\nHost: localhost\r\n\r\n" + LIVE, [200, 200]),
            (b"GET /health/live HTTP/1.1\r\nhost:localhost:80\r\n\r\n" + LIVE, [200, 200]),
            (b"GET /health/live HTTP/1.1\r\nHost: [::1]:80\r\n\r\n" + LIVE, [200, 200]),
        ],
    )
    def test_is_answered_however_it_is_cut_up(self, api: httpx.Client, sent: bytes, statuses: list[int]) -> None:
        middle = len(sent) // 2
        for segments in ([sent, LAST], [sent[:middle], sent[middle:] + LAST], [sent[:-1], sent[-1:], LAST]):
            found = exchange(api, *segments, pause_s=0.005)
            assert [answer.status for answer in found] == [*statuses, 200]

    @pytest.mark.parametrize("sent", [b"GET /health/live HTTP/1.0\r\n\r\n", LAST])
    def test_one_that_ends_the_connection_is_the_last(self, api: httpx.Client, sent: bytes) -> None:
        for segments in ([sent + LIVE], [sent, LIVE], [sent + b"nonsense\r\n\r\n"]):
            assert [answer.status for answer in exchange(api, *segments)] == [200]

    def test_a_head_that_follows_a_long_body_is_answered(self, api: httpx.Client) -> None:
        body = b"[" + b" " * 1_000_000 + b"]"
        for extra in (b"", b"X-Long: " + b"a" * 60_000 + b"\r\n"):
            follower = LAST.replace(b"Connection", extra + b"Connection")
            sent = head(b"Content-Length: %d" % len(body)) + body + follower
            assert [answer.status for answer in exchange(api, sent)] == [422, 200]
            assert [answer.status for answer in exchange(api, sent[:-30], sent[-30:])] == [422, 200]


class TestTrailers:
    def test_count_for_nothing(self, redis_server: RedisServer, graph: str) -> None:
        body = b'[{"op":"upsert_node","id":"a"}]'
        trailers = (
            b"Idempotency-Key: t\r\nContent-Type: text/plain\r\nX-Forwarded-For: 192.0.2.9\r\nX-Request-ID: t\r\n"
        )
        event = (
            b"POST /events HTTP/1.1\r\n" + JSON + b"X-Forwarded-For: 192.0.2.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        sent = event + b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, trailers)
        with serving(redis_server.url, graph, trusted_proxies="127.0.0.1", rate_limit="2/hour") as client:
            for segments in ([sent, LAST], [sent[:-20], sent[-20:], LAST]):
                answer, _ = exchange(client, *segments)
                assert answer.status == 202
                # Twice the same key would be one batch.
                assert b'"replayed":false' in answer.body.replace(b" ", b"") or b"replayed" not in answer.body
                assert answer.headers["x-request-id"] != "t"
            answer, _ = exchange(client, sent, LAST)
            assert answer.problem == "rate-limited"

    @pytest.mark.parametrize("line", [b"a: b\r\n", b"a: " + b"b" * 4000 + b"\r\n", b"a" * 4000])
    def test_without_end_are_refused(self, api: httpx.Client, line: bytes) -> None:
        sent = chunked() + b"2\r\n[]\r\n0\r\n"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = exchange(api, sent, *[line * (65536 // len(line))] * 200, pause_s=0.0)
        assert [answer.problem for answer in found] == ["head-too-large"]
        # In KiB: the server is a thread of this process, and 13 MB were sent.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8192


class TestLimits:
    @pytest.mark.parametrize(
        "fields",
        [
            b"X-Long: " + b"a" * MAX_HEAD_BYTES + b"\r\n",
            b"X-Long:" + b" " * MAX_HEAD_BYTES + b"\r\n",
            b"".join(b"X-%d: y\r\n" % number for number in range(MAX_HEADERS)),
            b"".join(b"X-%d: y\r\n" % number for number in range(9000)),
        ],
    )
    @pytest.mark.parametrize("size", [10**6, 4096, 100_000])
    def test_a_long_head_is_refused_however_it_is_cut_up(self, api: httpx.Client, fields: bytes, size: int) -> None:
        sent = LIVE[:-2] + fields + b"\r\n"
        found = exchange(api, *(sent[at : at + size] for at in range(0, len(sent), size)), pause_s=0.0)
        assert [answer.problem for answer in found] == ["head-too-large"]

    @pytest.mark.parametrize("size", [10**6, 5000])
    def test_the_limits_are_exact(self, api: httpx.Client, size: int) -> None:
        def padded(length: int) -> bytes:
            field = b"X: %s\r\n" % (b"a" * (length - len(LAST) - 5))
            return LAST[:-2] + field + b"\r\n"

        for length, status in ((MAX_HEAD_BYTES, 200), (MAX_HEAD_BYTES + 1, 431)):
            sent = padded(length)
            assert len(sent) == length
            found = exchange(api, *(sent[at : at + size] for at in range(0, len(sent), size)), pause_s=0.0)
            assert [answer.status for answer in found] == [status]

    @pytest.mark.parametrize(
        "chunks",
        [
            b"2;" + b"a" * 60_000 + b"\r\n  \r\n",
            b"1\r\n \r\n" * 20_000,
            b"2;a=" + b"b" * 100 + b"\r\n  \r\n",
        ],
    )
    def test_what_stands_between_chunks_may_not_outweigh_them(self, api: httpx.Client, chunks: bytes) -> None:
        found = exchange(api, chunked(), *[chunks * (1 + 100_000 // len(chunks))] * 3, pause_s=0.0)
        assert [answer.problem for answer in found] == ["too-large"]

    def test_an_extension_without_end_is_refused(self, api: httpx.Client) -> None:
        found = exchange(api, chunked() + b"2;", *[b"a" * 10_000] * 20, pause_s=0.0)
        assert [answer.problem for answer in found] == ["head-too-large"]

    def test_one_event_in_each_chunk_is_no_reason(self, api: httpx.Client) -> None:
        line = b'{"op":"remove_node","id":1}\n'
        event = chunked().replace(b"/predict", b"/events").replace(b"/json", b"/x-ndjson")
        sent = event + (b"%x\r\n%s\r\n" % (len(line), line)) * MAX_EVENTS + b"0\r\n\r\n" + LAST
        assert [answer.status for answer in exchange(api, sent)] == [202, 200]


class TestExpectation:
    def test_is_answered_before_the_body_is_read(self, api: httpx.Client) -> None:
        found = exchange(api, head(b"Expect: 100-continue", b"Content-Length: 2"), b"[]" + LAST, pause_s=0.2)
        assert [answer.status for answer in found] == [100, 422, 200]

    def test_an_answer_in_its_place_ends_the_connection(self, api: httpx.Client) -> None:
        sent = head(b"Expect: 100-continue", b"Content-Length: %d" % len(LIVE)).replace(b"/predict", b"/nowhere")
        (answer,) = exchange(api, sent, LIVE, pause_s=0.2)
        assert answer.status == 404
        assert answer.headers["connection"] == "close"


class TestKeepAlive:
    def test_an_idle_connection_is_closed_after_the_setting(self, redis_server: RedisServer, graph: str) -> None:
        with serving(redis_server.url, graph, keep_alive_s=1, read_timeout_s=20.0) as client:
            for sent in (LIVE, LIVE.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n")):
                with connected(client) as connection:
                    connection.sendall(sent)
                    time.sleep(0.1)
                    if b"Length" in sent:
                        connection.sendall(b"x" * 9)
                    began = time.monotonic()
                    assert everything(connection).count(b"HTTP/1.1 200") == 1
                    assert 0.5 < time.monotonic() - began < 10

    def test_it_lasts_longer_than_a_proxy_keeps_it(self, api: httpx.Client) -> None:
        with connected(api) as connection:
            connection.sendall(LIVE)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(6)
            connection.sendall(LAST)
            assert everything(connection).startswith(b"HTTP/1.1 200")

    def test_the_head_that_follows_an_answer_has_its_time_and_no_more(
        self, redis_server: RedisServer, graph: str
    ) -> None:
        with serving(redis_server.url, graph, read_timeout_s=0.3) as client, connected(client) as connection:
            connection.sendall(LIVE + b"GET /he")
            began = time.monotonic()
            assert everything(connection).count(b"HTTP/1.1 200") == 1
            assert time.monotonic() - began < 10
