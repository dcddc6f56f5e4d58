from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import pyarrow.ipc
import pytest
import redis

from olad_core.tasks.label_rule import LabelRule
from service.api.arrow import ARROW
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from service.store.status import WorkerStatus
from tests.service.api.serving import assert_problem
from tests.service.metric_values import shows
from tests.service.publications import publication, worker_status

STRANGE_IDS = (
    *("a/b", "/a", "a/", "//", "..", "../../x", ".", "/predict/x"),
    *("a b", "a?b=c", "a#b", "%2F", "a%b", "+", "a;b", "a&b", '"quoted"'),
    *("ключ", "節點", "😀", "\u00e9", "e\u0301", "x" * 256),
    *("a\nb", "\n", "line\n", "\x00"),
)


@pytest.fixture
def served(writer: PredictionWriter, redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    redis_client.set(keys.appended, 9)
    rows = {"1": [0.25, 0.75], "b": [1.0, 0.0]} | {node: [0.5, 0.5] for node in STRANGE_IDS}
    writer.publish(publication("5-0", rows, applied=7, version=3, disagreement=0.375))
    return writer


def test_a_prediction(api: httpx.Client, served: PredictionWriter) -> None:
    answer = api.get("/predict/1")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "node": "1",
        "label": "b",
        "probabilities": {"a": 0.25, "b": 0.75},
        "disagreement": 0.375,
        "student": "sage",
        "model_version": 3,
        "position": "5-0",
        "behind": 2,
    }


def test_any_id_works_when_percent_encoded(api: httpx.Client, served: PredictionWriter) -> None:
    for node in STRANGE_IDS:
        path = f"/predict/{quote(node, safe='')}"
        # Clients may take dots for folders: this one sends the path as it is.
        status, body = raw_get(api, path.replace(".", "%2E"))
        assert (status, body["node"]) == (200, node)


def raw_get(api: httpx.Client, path: str) -> tuple[int, dict[str, object]]:
    with socket.create_connection((api.base_url.host, api.base_url.port or 80)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), httpx.Response(200, content=body).json()


def test_slashes_need_no_encoding(api: httpx.Client, served: PredictionWriter) -> None:
    assert raw_get(api, "/predict/a/b")[1]["node"] == "a/b"
    assert raw_get(api, "/predict///?timeout_ms=1")[1]["node"] == "//"


def test_an_unknown_node(api: httpx.Client, served: PredictionWriter) -> None:
    body = assert_problem(api.get("/predict/nobody%20here"), 404, "unknown-node")
    assert "'nobody here'" in str(body["detail"])
    assert (body["position"], body["instance"]) == ("5-0", "/predict/nobody%20here")


def test_what_is_no_id(api: httpx.Client, served: PredictionWriter) -> None:
    for path in ("/predict/", "/predict/%FF"):
        body = assert_problem(api.get(path), 422, "invalid-request")
        assert "node" in str(body["detail"])


class TestMany:
    def test_answers_come_in_order_with_the_ids_as_sent(self, api: httpx.Client, served: PredictionWriter) -> None:
        answer = api.post("/predict", json={"nodes": [1, "b", "unknown", "1", -5, "a/b"]})
        predictions = answer.json()["predictions"]
        assert [item["node"] for item in predictions] == [1, "b", "unknown", "1", -5, "a/b"]
        assert [item["label"] for item in predictions] == ["b", "a", None, "b", None, "a"]
        assert predictions[0] == {**api.get("/predict/1").json(), "node": 1}
        assert predictions[2] == {
            "node": "unknown",
            "label": None,
            "error": "not-found",
            "student": "sage",
            "model_version": 3,
            "position": "5-0",
            "behind": 2,
        }

    def test_none(self, api: httpx.Client, served: PredictionWriter) -> None:
        assert api.post("/predict", json={"nodes": []}).json() == {"predictions": []}

    def test_ten_thousand_and_not_one_more(self, api: httpx.Client, served: PredictionWriter) -> None:
        predictions = api.post("/predict", json={"nodes": ["b", "unknown"] * 5_000}).json()["predictions"]
        assert [item["label"] for item in predictions] == ["a", None] * 5_000
        body = assert_problem(api.post("/predict", json={"nodes": [1] * 10_001}), 422, "invalid-request")
        assert "10000" in str(body["detail"])

    def test_bad_bodies(self, api: httpx.Client, served: PredictionWriter) -> None:
        cases = [
            (b'{"nodes":[1,true]}', "nodes[1]"),
            (b'{"nodes":[""]}', "nodes[0]"),
            (b'{"nodes":1}', "nodes"),
            (b"{}", ""),
            (b"[]", ""),
            (b"", ""),
            (b"\xff", ""),
            (b'{"nodes":["\xff"]}', ""),
            (b'{"nodes":' + b"[" * 100_000, ""),
        ]
        for sent, field in cases:
            answer = api.post("/predict", content=sent, headers={"content-type": "application/json"})
            body = assert_problem(answer, 422, "invalid-request")
            assert isinstance(body["errors"], list)
            assert body["errors"][0]["field"] == field

    def test_what_is_no_json_is_called_so(self, api: httpx.Client) -> None:
        for sent in (b"[bad", b'{"nodes": 5'):
            body = assert_problem(
                api.post("/predict", content=sent, headers={"content-type": "application/json"}), 422, "invalid-request"
            )
            assert "JSON is malformed" in str(body["detail"])

    def test_limits_of_the_body(self, api: httpx.Client) -> None:
        answer = api.post("/predict", content=b" " * (16 * 2**20 + 1), headers={"content-type": "application/json"})
        assert_problem(answer, 413, "too-large")
        assert_problem(api.post("/predict", content=b"{}"), 415, "unsupported-media-type")


class TestWithoutModel:
    @pytest.mark.parametrize(
        ("status", "missing"),
        [
            (None, ["the worker has not started"]),
            (worker_status(missing=("labels of two classes",)), ["labels of two classes"]),
            (worker_status(), ["the first version is being made"]),
        ],
    )
    def test_what_is_missing_is_named(
        self, api: httpx.Client, writer: PredictionWriter, status: WorkerStatus | None, missing: list[str]
    ) -> None:
        if status is not None:
            writer.write_status(status, b"")
        for answer in (api.get("/predict/1"), api.post("/predict", json={"nodes": [1]})):
            body = assert_problem(answer, 503, "no-model")
            assert body["missing"] == missing
            assert missing[0] in str(body["detail"])
            assert answer.headers["retry-after"]


def test_labels_follow_the_published_rule_and_probabilities_do_not(api: httpx.Client, writer: PredictionWriter) -> None:
    rows = {"sure": [0.9, 0.1], "likely": [0.7, 0.3]}
    writer.publish(publication("5-0", rows))

    def labels() -> list[set[str]]:
        found = []
        for node, row in rows.items():
            answers = [api.get(f"/predict/{node}").json(), api.get(f"/predict/{node}?top=1").json()]
            answers += api.post("/predict", json={"nodes": [node]}).json()["predictions"]
            assert (
                answers[0]["probabilities"] == answers[2]["probabilities"] == pytest.approx({"a": row[0], "b": row[1]})
            )
            table = api.post("/predict", json={"nodes": [node]}, headers={"Accept": ARROW}).content
            (arrow,) = pyarrow.ipc.open_stream(table).read_all().to_pylist()
            found.append({answer["label"] for answer in [*answers, arrow]})
        return found

    assert labels() == [{"a"}, {"a"}]
    writer.publish(publication("6-0", applied=1, rule=LabelRule(thresholds={"b": 0.25})))
    assert labels() == [{"a"}, {"b"}]
    writer.publish(publication("7-0", applied=2, rule=LabelRule(costs={"b": 20.0})))
    assert labels() == [{"b"}, {"b"}]
    writer.publish(publication("8-0", applied=3))
    assert labels() == [{"a"}, {"a"}]


@contextlib.contextmanager
def waiting(api: httpx.Client, number: int) -> Iterator[None]:
    """Inside, so many requests wait at the API."""
    while not shows(api, "olad_api_waiting", number):
        pass
    yield


class TestMinPosition:
    def test_a_position_that_is_visible_is_not_waited_for(self, api: httpx.Client, served: PredictionWriter) -> None:
        for position in ("5-0", "5", "4-99", "0"):
            assert api.get(f"/predict/1?min_position={position}&timeout_ms=0").json()["position"] == "5-0"
        assert shows(api, "olad_api_waits_total", 0)

    def test_one_that_does_not_come_in_time(self, api: httpx.Client, served: PredictionWriter) -> None:
        for query in ("min_position=5-1&timeout_ms=0", "min_position=6&timeout_ms=30"):
            for answer in (api.get(f"/predict/1?{query}"), api.post(f"/predict?{query}", json={"nodes": [1]})):
                body = assert_problem(answer, 504, "position-not-reached")
                assert body["position"] == "5-0"
        assert shows(api, "olad_api_wait_timeouts_total", 4)
        assert shows(api, "olad_api_waiting", 0)

    def test_waiting_ends_with_the_publication(self, api: httpx.Client, served: PredictionWriter) -> None:
        with ThreadPoolExecutor(24) as pool:
            first = [pool.submit(api.get, "/predict/1?min_position=6-0&timeout_ms=60000") for _ in range(10)]
            late = [
                pool.submit(api.post, "/predict?min_position=7&timeout_ms=60000", json={"nodes": [1]})
                for _ in range(10)
            ]
            with waiting(api, 20):
                served.publish(publication("6-0", {"1": [1.0, 0.0]}, version=3))
            assert {future.result().json()["label"] for future in first} == {"a"}
            with waiting(api, 10):
                assert not any(future.done() for future in late)
                served.publish(publication("8-0", {"1": [0.0, 1.0]}, version=3))
            assert {future.result().json()["predictions"][0]["position"] for future in late} == {"8-0"}

    def test_a_lost_message_does_not_matter(
        self, api: httpx.Client, served: PredictionWriter, redis_client: redis.Redis, keys: Keys
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(api.get, "/predict/1?min_position=6-0&timeout_ms=60000")
            with waiting(api, 1):
                redis_client.hset(keys.served, "position", "6-0")
            assert answer.result().json()["position"] == "6-0"

    def test_a_wait_can_outlive_the_first_publications(self, api: httpx.Client, served: PredictionWriter) -> None:
        stop = threading.Event()

        def publish() -> None:
            for sequence in range(1, 100_000):
                if stop.is_set():
                    return
                served.publish(publication(f"6-{sequence}", {"1": [1.0, 0.0]}, version=3))

        with ThreadPoolExecutor(1) as pool:
            pool.submit(publish)
            try:
                reached = api.get("/predict/1?min_position=6-100&timeout_ms=60000").json()["position"]
            finally:
                stop.set()
        assert int(reached.partition("-")[2]) >= 100

    def test_bad_parameters(self, api: httpx.Client, served: PredictionWriter) -> None:
        cases = [
            ("min_position=x", "min_position"),
            ("min_position=", "min_position"),
            ("min_position=1-", "min_position"),
            ("timeout_ms=-1", "timeout_ms"),
            ("timeout_ms=60001", "timeout_ms"),
            ("timeout_ms=soon", "timeout_ms"),
        ]
        for query, field in cases:
            for answer in (api.get(f"/predict/1?{query}"), api.post(f"/predict?{query}", json={"nodes": [1]})):
                body = assert_problem(answer, 422, "invalid-request")
                assert isinstance(body["errors"], list)
                assert body["errors"][0]["field"] == field
