"""What one client may hold of the API's memory and places, and that it comes back however a request ends."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import redis

from service.api_keys import create_key
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from service.store.rows import WHOLE_FORMAT
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving
from tests.service.metric_values import metric_value
from tests.service.publications import publication

MB = 10**6
JSON = {"content-type": "application/json"}
EDGE = {"op": "upsert_edge", "src": "a", "dst": "b"}


def metric(api: httpx.Client, name: str, headers: dict[str, str] | None = None) -> float:
    return metric_value(api.get("/metrics", headers=headers).text, name)


def eventually(api: httpx.Client, name: str, value: float) -> None:
    deadline = time.monotonic() + 20
    while metric(api, name) != value:
        assert time.monotonic() < deadline, f"{name} is {metric(api, name)}, not {value}"
        time.sleep(0.02)


@contextlib.contextmanager
def sent(api: httpx.Client, head: str, body: bytes = b"") -> Iterator[socket.socket]:
    """A connection on which that much of a request was sent."""
    with socket.create_connection((api.base_url.host, api.base_url.port or 80)) as connection:
        connection.settimeout(20)
        connection.sendall(f"{head}\r\nHost: {api.base_url.host}\r\n".encode() + b"\r\n" * (not body) + body)
        yield connection


def unfinished(method: str, path: str, length: int) -> str:
    return f"{method} {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}"


@pytest.fixture
def tight(redis_server: RedisServer, graph: str) -> Iterator[httpx.Client]:
    with serving(redis_server.url, graph, max_in_flight_mb=40, read_timeout_s=2) as client:
        yield client


SPACED = b" " * MB + b"[" + b" " * 3 * MB + json.dumps(EDGE).encode() + b" " * 2 * MB + b"]" + b" " * MB


class TestBodies:
    @pytest.mark.parametrize(("method", "path"), [("POST", "/events"), ("POST", "/predict"), ("PUT", "/schema")])
    def test_declared_lengths_are_counted_before_anything_is_read(
        self, tight: httpx.Client, method: str, path: str
    ) -> None:
        length = 10**6 if path == "/schema" else 15 * MB
        with contextlib.ExitStack() as held:
            for _ in range(20 * MB // length):
                held.enter_context(sent(tight, unfinished(method, path, length)))
            eventually(tight, "olad_api_in_flight_bytes", (20 * MB // length) * length)
            answer = tight.post("/events", content=SPACED, headers=JSON)
            body = assert_problem(answer, 429, "too-much-at-once")
            assert "40,000,000" in str(body["detail"])
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["connection"] == "close"
        eventually(tight, "olad_api_in_flight_bytes", 0)
        answer = tight.post("/events", content=SPACED, headers=JSON)
        assert answer.status_code == 202

    def test_chunks_are_counted_as_they_come(self, tight: httpx.Client) -> None:
        chunk = b"%x\r\n" % MB + b" " * MB + b"\r\n"
        head = "POST /events HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"
        with sent(tight, head), contextlib.ExitStack() as held:
            first = held.enter_context(sent(tight, head))
            first.sendall(chunk * 12)
            eventually(tight, "olad_api_in_flight_bytes", 12 * MB)
            second = held.enter_context(sent(tight, head))
            with contextlib.suppress(OSError):
                second.sendall(chunk * 12)
            assert b" 429 " in second.recv(100)
            eventually(tight, "olad_api_in_flight_bytes", 12 * MB)
        eventually(tight, "olad_api_in_flight_bytes", 0)

    def test_they_are_given_back_however_a_request_ends(self, tight: httpx.Client) -> None:
        sends = [
            (b"[" + b" " * 70_000 + json.dumps(EDGE).encode() + b"]", 202),
            (b"[" + b" " * 70_000 + b'{"op":"grow"}]', 422),
            (b"[" * 100_000, 422),
            (b"[" + b'{"op":"remove_node","id":1},' * 20_000 + json.dumps(EDGE).encode() + b"]", 413),
        ]
        for body, status in sends:
            assert tight.post("/events", content=body, headers=JSON).status_code == status
            assert metric(tight, "olad_api_in_flight_bytes") == 0
        with sent(tight, unfinished("POST", "/events", MB)) as slow:
            assert b" 408 " in slow.recv(100)
        eventually(tight, "olad_api_in_flight_bytes", 0)

    def test_one_key_does_not_shut_out_another(self, redis_server: RedisServer, graph: str, tmp_path: Path) -> None:
        file = tmp_path / "keys.json"
        greedy, other = (create_key(file, name, ["write", "read"]) for name in ("greedy", "other"))
        with (
            serving(redis_server.url, graph, max_in_flight_mb=40, api_keys_file=file) as api,
            contextlib.ExitStack() as held,
        ):
            for _ in range(9):
                head = f"{unfinished('POST', '/events', 2 * MB)}\r\nAuthorization: Bearer {greedy}"
                held.enter_context(sent(api, head))
            body = b"[" + b" " * 2 * MB + json.dumps(EDGE).encode() + b"]"
            while metric(api, "olad_api_in_flight_bytes", {"authorization": f"Bearer {other}"}) < 18 * MB:
                time.sleep(0.02)
            answers = [
                api.post("/events", content=body, headers={**JSON, "authorization": f"Bearer {key}"})
                for key in (greedy, other)
            ]
            assert [answer.status_code for answer in answers] == [429, 202]


class TestLargeBatches:
    def test_a_batch_in_pieces_is_one_entry(self, api: httpx.Client) -> None:
        events = [{"op": "upsert_node", "id": f"n{i}", "x": [i / 7] * 50} for i in range(5_000)]
        for content, kind in (
            (json.dumps(events), "application/json"),
            ("\n".join(map(json.dumps, events)), "application/x-ndjson"),
        ):
            headers = {"content-type": kind, "idempotency-key": kind}
            first = api.post("/events", content=content, headers=headers)
            assert (first.status_code, first.json()["accepted"]) == (202, 5_000)
            again = api.post("/events", content=content, headers=headers)
            assert again.json() == first.json()
            assert again.headers["idempotent-replayed"] == "true"
        assert api.get("/status").json()["log"]["entries"] == 2
        events[4_321]["x"] = [1.0]
        body = assert_problem(api.post("/events", json=events), 422, "invalid-events")
        assert body["errors"] == [
            {"index": 4_321, "field": "x", "message": "1 features where this graph's nodes have 50"}
        ]


@pytest.fixture
def wide(writer: PredictionWriter, redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    """A thousand classes, and a node for each with its own class the likeliest, as an earlier release wrote them."""
    classes = tuple(f"c{i:03}" for i in range(1_000))
    values = np.full((1_100, 1_000), 0.0005, np.float32)
    values[np.arange(1_100), np.arange(1_100) % 1_000] = 0.5
    values[:, 7] += 0.001
    rows = {f"n{i}": values[i].tolist() for i in range(1_100)}
    writer.publish(publication("5-0", rows, version=1, classes=classes))
    redis_client.hset(keys.served, "format", WHOLE_FORMAT)
    return writer


class TestAnswers:
    def test_an_answer_is_bounded_by_its_cells(self, api: httpx.Client, wide: PredictionWriter) -> None:
        nodes = [f"n{i}" for i in range(1_001)]
        body = assert_problem(api.post("/predict?top=all", json={"nodes": nodes}), 413, "too-large")
        detail = str(body["detail"])
        assert "1,001 nodes with 1,000 probabilities each are 1,001,000, 1,000,000 are allowed" in detail
        assert "at most 1,000 nodes" in detail
        assert "?top=" in detail
        # Unknown nodes have no probabilities.
        assert api.post("/predict?top=all", json={"nodes": nodes[:10] + ["nobody"] * 5_000}).status_code == 200
        answer = api.post("/predict?top=3", json={"nodes": nodes}).json()["predictions"]
        assert [one["node"] for one in answer] == nodes
        assert list(answer[500]["probabilities"]) == ["c500", "c007", "c000"]
        assert {one["label"] for one in answer} == {f"c{i:03}" for i in range(1_000)}

    def test_what_is_read_is_bounded_too(self, api: httpx.Client, wide: PredictionWriter) -> None:
        body = assert_problem(api.post("/predict?top=1", json={"nodes": ["n1"] * 5_000}), 413, "too-large")
        assert "5,000,000, 4,000,000 are allowed: ask for at most 4,000 nodes at once" in str(body["detail"])

    def test_top_of_one_node(self, api: httpx.Client, wide: PredictionWriter) -> None:
        whole = api.get("/predict/n500?top=all").json()
        assert len(whole["probabilities"]) == 1_000
        answer = api.get("/predict/n500?top=2").json()
        assert list(answer["probabilities"].items()) == [
            ("c500", whole["probabilities"]["c500"]),
            ("c007", whole["probabilities"]["c007"]),
        ]
        assert answer["label"] == whole["label"] == "c500"
        assert api.get("/predict/n500?top=5000").json()["probabilities"] == whole["probabilities"]
        assert_problem(api.get("/predict/n500?top=0"), 422, "invalid-request")

    def test_a_large_answer_is_whole_and_is_no_longer_counted(self, api: httpx.Client, wide: PredictionWriter) -> None:
        nodes = [f"n{i}" for i in range(1_000)]
        answer = api.post("/predict?top=all", json={"nodes": nodes})
        assert int(answer.headers["content-length"]) == len(answer.content) > 10 * MB
        assert [one["label"] for one in answer.json()["predictions"]] == [f"c{i:03}" for i in range(1_000)]
        eventually(api, "olad_api_in_flight_bytes", 0)

    def test_an_answer_that_nobody_takes_is_counted_until_the_client_goes(
        self, api: httpx.Client, wide: PredictionWriter
    ) -> None:
        asked = json.dumps({"nodes": [f"n{i}" for i in range(1_000)]}).encode()
        head = unfinished("POST", "/predict?top=all", len(asked))
        with sent(api, head, b"\r\n" + asked):
            deadline = time.monotonic() + 20
            while metric(api, "olad_api_in_flight_bytes") < 10 * MB:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert api.get("/health/live").status_code == 200
        eventually(api, "olad_api_in_flight_bytes", 0)

    def test_too_many_ids_are_not_decoded(self, api: httpx.Client, wide: PredictionWriter) -> None:
        content = b'{"nodes":[' + b"1," * 5_000_000 + b"1]}"
        body = assert_problem(api.post("/predict", content=content, headers=JSON), 422, "invalid-request")
        assert "10000" in str(body["detail"])


class TestWaiting:
    WAITS = "GET /predict/n?min_position=9999999999999-0&timeout_ms=60000 HTTP/1.1"

    def test_a_place_is_free_when_its_client_goes(self, redis_server: RedisServer, graph: str) -> None:
        with serving(redis_server.url, graph, max_waiting=1) as api:
            asked = b'{"nodes": ["n"]}'
            many = unfinished("POST", self.WAITS.split()[1].replace("/n?", "?"), len(asked))
            for head, body in ((self.WAITS, b""), (many, b"\r\n" + asked)):
                with sent(api, head, body):
                    eventually(api, "olad_api_waiting", 1)
                    late = api.get("/predict/n?min_position=9999999999999-0&timeout_ms=0")
                    assert_problem(late, 503, "too-many-waiting")
                eventually(api, "olad_api_waiting", 0)
                late = api.get("/predict/n?min_position=9999999999999-0&timeout_ms=0")
                assert_problem(late, 504, "position-not-reached")

    def test_one_client_has_half_of_the_places(self, redis_server: RedisServer, graph: str, tmp_path: Path) -> None:
        file = tmp_path / "keys.json"
        greedy, other = (create_key(file, name, ["read"]) for name in ("greedy", "other"))
        with (
            serving(redis_server.url, graph, max_waiting=8, api_keys_file=file) as api,
            contextlib.ExitStack() as held,
        ):
            late = f"{self.WAITS.split()[1].replace('60000', '0')}"
            for number in range(4):
                held.enter_context(sent(api, f"{self.WAITS}\r\nAuthorization: Bearer {greedy}"))
                while metric(api, "olad_api_waiting", {"authorization": f"Bearer {other}"}) != number + 1:
                    time.sleep(0.02)
            refused = api.get(late, headers={"authorization": f"Bearer {greedy}"})
            assert_problem(refused, 429, "too-much-at-once")
            assert refused.headers["retry-after"] == "1"
            waited = api.get(late, headers={"authorization": f"Bearer {other}"})
            assert_problem(waited, 504, "position-not-reached")
