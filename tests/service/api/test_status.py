from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service.api_keys import create_key
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving
from tests.service.metric_values import metric_value, shows
from tests.service.publications import publication, worker_status


def _until_answered(api: httpx.Client, path: str, status: int, **sent: Any) -> None:
    """Ask until it is answered so: what the API found out may be a quarter of a second old."""
    deadline = time.monotonic() + 15
    while (api.post(path, **sent) if sent else api.get(path)).status_code != status:
        assert time.monotonic() < deadline, f"{path} is not answered {status}"
        time.sleep(0.05)


EDGE = {"op": "upsert_edge", "src": 1, "dst": 2}


def test_status_before_anything(api: httpx.Client, graph: str) -> None:
    status = api.get("/status").json()
    assert status == {
        "graph": graph,
        "log_id": status["log_id"],
        "heartbeat": False,
        "position": None,
        "log": {"position": None, "entries": 0, "appended_events": 0, "behind_events": 0},
        "checkpoint_age_s": None,
        "worker": None,
        "variant": "default",
        "champion": "default",
    }
    assert api.get("/students").json() == {"students": [], "combined": None, "decisions": []}


def test_a_log_has_an_identity_that_goes_where_it_goes(
    api: httpx.Client, redis_server: RedisServer, redis_client: redis.Redis, keys: Keys
) -> None:
    identity = api.get("/status").json()["log_id"]
    api.post("/events", json=[EDGE])
    assert api.get("/status").json()["log_id"] == identity
    with serving(redis_server.url, keys.graph) as other, serving(redis_server.url, f"{keys.graph}-2") as another_graph:
        assert other.get("/status").json()["log_id"] == identity
        assert another_graph.get("/status").json()["log_id"] not in {identity, None}
    for key in redis_client.keys(f"olad:{{{keys.graph}}}:*"):
        redis_client.delete(key)
    assert api.get("/status").json()["log_id"] not in {identity, None}


def test_status(api: httpx.Client, writer: PredictionWriter) -> None:
    first = api.post("/events", json=[EDGE] * 3).json()["position"]
    last = api.post("/events", json=[EDGE] * 2).json()["position"]
    writer.publish(publication(first, {"1": [1.0, 0.0]}, applied=3))
    report = worker_status(checkpoint_at=time.time() - 30)
    writer.write_status(report, b"")
    writer.heartbeat(60_000)
    status = api.get("/status").json()
    assert (status["heartbeat"], status["position"]) == (True, first)
    assert status["log"] == {"position": last, "entries": 2, "appended_events": 5, "behind_events": 2}
    assert status["checkpoint_age_s"] >= 30
    assert status["worker"] == report.model_dump(mode="json")
    reported = report.model_dump(mode="json")
    shown = api.get("/students").json()
    assert shown == {name: reported[name] for name in ("students", "combined", "decisions")}
    assert reported["decisions"][0]["kind"] == "drift"


class TestHealth:
    def test_events_are_accepted_before_there_is_a_worker_or_a_model(
        self, api: httpx.Client, writer: PredictionWriter
    ) -> None:
        assert api.get("/health/live").json() == {"live": True}
        assert api.get("/health/ready").json() == {"ready": True}
        body = assert_problem(api.get("/health/predicting"), 503, "not-ready")
        assert body["missing"] == ["a published model"]
        writer.heartbeat(60_000)
        assert_problem(api.get("/health/predicting"), 503, "not-ready")
        writer.publish(publication("1-0", {"1": [1.0, 0.0]}))
        assert api.get("/health/predicting").json() == {"predicting": True, "worker": True}

    def test_without_its_worker_the_last_predictions_are_served(
        self, api: httpx.Client, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
    ) -> None:
        writer.publish(publication("1-0", {"1": [1.0, 0.0]}))
        redis_client.delete(keys.heartbeat)
        assert api.get("/health/predicting").json() == {"predicting": True, "worker": False}
        assert api.get("/predict/1").status_code == 200
        assert api.get("/health/ready").status_code == 200

    @pytest.mark.parametrize(
        ("configuration", "missing"),
        [
            ({"replicaof": "127.0.0.1 1"}, "a Redis that accepts writes"),
            ({"min-replicas-to-write": "1"}, "a Redis that accepts writes"),
            ({"maxmemory": "100kb"}, "memory in Redis"),
        ],
        ids=["a replica", "too few replicas", "no memory"],
    )
    def test_where_every_batch_is_refused_it_is_not_ready(
        self, own_redis_server: RedisServer, graph: str, configuration: dict[str, str], missing: str
    ) -> None:
        with own_redis_server.client() as client, serving(own_redis_server.url, graph) as api:
            writer = PredictionWriter(client, Keys(graph))
            writer.start()
            writer.publish(publication("1-0", {"1": [1.0, 0.0]}))
            assert api.get("/health/ready").status_code == 200
            for name, value in configuration.items():
                if name == "replicaof":
                    client.execute_command("REPLICAOF", *value.split())
                else:
                    client.config_set(name, value)
            _until_answered(api, "/health/ready", 503)
            assert api.post("/events", json=[EDGE]).status_code in {429, 503}
            assert assert_problem(api.get("/health/ready"), 503, "not-ready")["missing"] == [missing]
            assert api.get("/health/predicting").status_code == 200
            for name, undone in {"maxmemory": "0", "min-replicas-to-write": "0"}.items():
                client.config_set(name, undone)
            client.execute_command("REPLICAOF", "NO", "ONE")
            _until_answered(api, "/health/ready", 200)
            assert api.post("/events", json=[EDGE]).status_code == 202

    def test_a_full_disk_is_told_and_a_lag_only_where_no_worker_makes_it_less(
        self, redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, writer: PredictionWriter
    ) -> None:
        with serving(redis_server.url, keys.graph, max_behind=1) as api:
            api.post("/events", json=[EDGE] * 2)
            redis_client.set(keys.status, json.dumps({"disk_free": 10**12}))
            writer.heartbeat(60_000)
            _until_answered(api, "/events", 429, json=[EDGE])
            assert api.get("/health/ready").status_code == 200
            redis_client.delete(keys.heartbeat)
            _until_answered(api, "/health/ready", 503)
            assert "the worker is away" in api.get("/health/ready").json()["missing"][0]
            writer.heartbeat(60_000)
            redis_client.delete(keys.appended)
            _until_answered(api, "/health/ready", 200)
            redis_client.set(keys.status, json.dumps({"disk_free": 1}))
            _until_answered(api, "/health/ready", 503)
            (missing,) = api.get("/health/ready").json()["missing"]
            assert "where the worker writes checkpoints" in missing
            assert_problem(api.post("/events", json=[EDGE]), 429, "overloaded")

    def test_a_redis_that_hangs_is_told_within_the_time_of_a_probe(
        self, own_redis_server: RedisServer, graph: str
    ) -> None:
        with serving(own_redis_server.url, graph) as api:
            assert api.get("/health/ready").status_code == 200
            os.kill(own_redis_server.pid, signal.SIGSTOP)
            try:
                time.sleep(0.3)
                answer = api.get("/health/ready", timeout=4)
                assert assert_problem(answer, 503, "not-ready")["missing"] == ["Redis"]
                assert api.get("/health/live", timeout=1).status_code == 200
            finally:
                os.kill(own_redis_server.pid, signal.SIGCONT)
            _until_answered(api, "/health/ready", 200)

    def test_probes_need_no_key_and_have_no_rate(self, redis_server: RedisServer, graph: str, tmp_path: Path) -> None:
        file = tmp_path / "api-keys.json"
        create_key(file, "someone", ["read"])
        with serving(redis_server.url, graph, api_keys_file=file, rate_limit="1/hour") as api:
            assert api.get("/status").status_code == 401
            for path, status in (("live", 200), ("ready", 200), ("predicting", 503)):
                assert {api.get(f"/health/{path}").status_code for _ in range(20)} == {status}

    def test_without_redis(self, own_redis_server: RedisServer, graph: str) -> None:
        with own_redis_server.client() as client, serving(own_redis_server.url, graph) as api:
            writer = PredictionWriter(client, Keys(graph))
            writer.start()
            writer.heartbeat(600_000)
            writer.publish(publication("1-0", {"1": [1.0, 0.0]}))
            assert api.get("/health/ready").status_code == 200
            own_redis_server.stop()
            _until_answered(api, "/health/ready", 503)
            assert api.get("/health/live").status_code == 200
            for question in ("ready", "predicting"):
                body = assert_problem(api.get(f"/health/{question}"), 503, "not-ready")
                assert body["missing"] == ["Redis"]
            for method, path in (("GET", "/predict/1"), ("GET", "/status"), ("GET", "/schema"), ("GET", "/students")):
                answer = api.request(method, path)
                assert_problem(answer, 503, "redis-unavailable")
                assert answer.headers["retry-after"] == "1"
            body = assert_problem(api.post("/events", json=[EDGE]), 503, "redis-unavailable")
            assert "Idempotency-Key" in str(body["detail"])
            metrics = api.get("/metrics").text
            assert metric_value(metrics, "olad_redis_up") == 0
            waits = api.get("/predict/1?min_position=9-0&timeout_ms=10")
            assert_problem(waits, 503, "redis-unavailable")
            own_redis_server.start()
            assert api.get("/predict/1").json()["label"] == "a"
            assert api.post("/events", json=[EDGE]).status_code == 202
            _until_answered(api, "/health/ready", 200)
            assert shows(api, "olad_redis_up", 1)


def test_the_report_of_a_worker_of_another_release_stops_nothing(
    api: httpx.Client, redis_client: redis.Redis, keys: Keys
) -> None:
    of_another = worker_status().model_dump(mode="json") | {"disk_free": 99_999_999}
    del of_another["served_score"], of_another["learning"]["losses"]
    redis_client.set(keys.status, json.dumps(of_another))
    assert api.get("/status").json()["worker"] is None
    assert api.get("/students").json() == {"students": [], "combined": None, "decisions": []}
    assert_problem(api.get("/predict/1"), 503, "no-model")
    # Its free disk space is read nevertheless.
    assert_problem(api.post("/events", json=[EDGE]), 429, "overloaded")


@pytest.mark.parametrize("report", [b"{}", b"null", b'{"disk_free": "much"}', b"\xff"])
def test_a_report_that_says_nothing_stops_no_events(
    api: httpx.Client, redis_client: redis.Redis, keys: Keys, report: bytes
) -> None:
    redis_client.set(keys.status, report)
    assert api.post("/events", json=[EDGE]).status_code == 202
    assert api.get("/status").json()["worker"] is None


def test_metrics(api: httpx.Client, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys) -> None:
    writer.publish(publication("1-0", {"1": [1.0, 0.0]}, applied=1))
    writer.write_status(
        worker_status(),
        b"# HELP olad_worker_steps_total Steps.\n# TYPE olad_worker_steps_total counter\nolad_worker_steps_total 7.0\n",
    )
    writer.heartbeat(60_000)
    api.post("/events", json=[EDGE] * 3)
    api.post("/events", json=[EDGE], headers={"idempotency-key": "k"})
    api.post("/events", json=[EDGE], headers={"idempotency-key": "k"})
    api.post("/events", json=[{}])
    api.get("/predict/1")
    api.get("/predict/other/node")
    api.get("/nowhere")
    api.request("PROPFIND", "/predict/1")
    answer = api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")

    def found(name: str, **labels: str) -> float:
        return metric_value(answer.text, name, graph=keys.graph, **labels)

    def requests(route: str, method: str, status: int) -> float:
        return found("olad_api_requests_total", method=method, route=route, status=str(status))

    assert requests("/events", "POST", 202) == 3
    assert requests("/events", "POST", 422) == 1
    assert requests("/predict/{node}", "GET", 200) == 1
    assert requests("/predict/{node}", "GET", 404) == 1
    assert requests("unmatched", "GET", 404) == 1
    assert requests("/predict/{node}", "other", 405) == 1
    assert found("olad_api_request_seconds_count", route="/events") == 4
    assert found("olad_api_events_accepted_total") == 4
    assert found("olad_api_batches_accepted_total") == 2
    assert found("olad_api_batches_replayed_total") == 1
    assert found("olad_api_batches_refused_total") == 1
    assert found("olad_api_event_bytes_total") > 100
    assert found("olad_api_log_entries") == 2
    assert found("olad_api_log_appended_events_total") == 4
    assert found("olad_api_behind_events", variant="default") == 3
    assert found("olad_redis_up") == 1
    assert metric_value(answer.text, "olad_worker_steps_total") == 7
    assert found("process_cpu_seconds_total") > 0
