"""What events would lead to, over HTTP, from a real worker."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.olad_core.runs import PAIR, Run, learned
from tests.redis_server import RedisServer
from tests.service.api.answering import AnsweringWorker
from tests.service.api.serving import assert_problem, serving
from tests.service.publications import publication

CHANGES: list[dict[str, Any]] = [
    {"op": "remove_edge", "src": "8", "dst": "6"},
    {"op": "upsert_edge", "src": "8", "dst": "1", "weight": 3.0},
    {"op": "upsert_node", "id": "new", "x": [3.0, 0.0, 0.0]},
    {"op": "upsert_edge", "src": "new", "dst": "8"},
    {"op": "label", "id": "1", "label": "even"},
    {"op": "remove_node", "id": "3"},
]


def asked(api: httpx.Client, events: list[dict[str, Any]], nodes: list[str | int], query: str = "") -> dict[str, Any]:
    answer = api.post(f"/what-if{query}", json={"events": events, "nodes": nodes})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_it_is_what_the_same_events_lead_to_when_they_are_sent(
    api: httpx.Client, answering_worker: AnsweringWorker
) -> None:
    ends = answering_worker.lane.engine.graph.edge_list()
    ids = answering_worker.lane.engine.graph.ids
    first = {"op": "remove_edge", "src": ids(ends.source[:1])[0], "dst": ids(ends.target[:1])[0]}
    events = [first, *CHANGES[1:]]
    nodes: list[str | int] = ["8", 6, "1", "new", "3", "10", "nobody"]
    before = api.post("/predict", json={"nodes": nodes}).json()["predictions"]
    found = asked(api, events, nodes)
    assert api.post("/predict", json={"nodes": nodes}).json()["predictions"] == before
    position = api.post("/events", json=events).json()["position"]
    after = api.post(f"/predict?min_position={position}&timeout_ms=60000", json={"nodes": nodes}).json()["predictions"]
    assert [answer["node"] for answer in found["predictions"]] == nodes
    for tried, real, earlier in zip(found["predictions"], after, before, strict=True):
        assert (tried["label"], tried.get("error")) == (real["label"], real.get("error"))
        assert tried.get("probabilities") == pytest.approx(real.get("probabilities"), abs=1e-6)
        assert tried.get("disagreement") == pytest.approx(real.get("disagreement"), abs=1e-6)
        assert (earlier["position"], earlier["model_version"]) == (found["position"], found["model_version"])
    assert found["rejected"] == []
    assert found["behind"] == 0


def test_events_that_could_not_be_applied_are_listed(api: httpx.Client, answering_worker: AnsweringWorker) -> None:
    events = [{"op": "label", "id": "nobody", "label": "odd"}, {"op": "remove_node", "id": "5"}, CHANGES[1]]
    events.append({"op": "upsert_edge", "src": "5", "dst": "6"})
    found = asked(api, events, ["6"])
    assert [(each["index"], each["op"], each["reason"]) for each in found["rejected"]] == [
        (0, "label", "unknown-node"),
        (3, "upsert_edge", "removed-node"),
    ]
    assert "nobody" in found["rejected"][0]["detail"]


def test_it_waits_for_a_position(api: httpx.Client, answering_worker: AnsweringWorker) -> None:
    position = api.post("/events", json=[{"op": "upsert_node", "id": "late"}]).json()["position"]
    found = asked(api, CHANGES[1:2], ["late"], f"?min_position={position}&timeout_ms=60000")
    assert found["predictions"][0]["label"] is not None
    assert found["position"] == position


def test_the_worker_counts_and_times_questions(api: httpx.Client, answering_worker: AnsweringWorker) -> None:
    for _ in range(3):
        asked(api, CHANGES[1:2], ["1"])
    assert (
        answering_worker.metrics.registry.get_sample_value("olad_worker_stage_seconds_count", {"stage": "what-if"}) == 3
    )


def test_too_large_a_part_is_refused_with_the_bound(
    api: httpx.Client, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    engine = learned(Run(PAIR)).engine
    engine.config = replace(engine.config, most_read=10)
    with AnsweringWorker(engine, redis_client, keys, tmp_path).at_work():
        body = assert_problem(api.post("/what-if", json={"events": CHANGES[1:2], "nodes": ["1"]}), 413, "too-large")
    assert body["most"] == 10
    assert isinstance(body["need"], int)
    assert body["need"] > 10
    assert f"{body['need']:,} nodes and edges" in str(body["detail"])


@pytest.mark.parametrize(
    ("sent", "status", "kind", "expected"),
    [
        ({"events": [CHANGES[0], {"op": "remove_edge", "src": "1"}], "nodes": ["1"]}, 422, "invalid-events", "index 1"),
        ({"events": [], "nodes": ["1"]}, 422, "invalid-events", ""),
        ({"events": {"op": "label"}, "nodes": ["1"]}, 422, "invalid-events", "array"),
        ({"events": CHANGES[:1], "nodes": []}, 422, "invalid-request", "nodes"),
        ({"events": CHANGES[:1]}, 422, "invalid-request", "nodes"),
        ({"events": CHANGES[:1], "nodes": [str(node) for node in range(1001)]}, 422, "invalid-request", "1000"),
        ({"events": CHANGES[:1] * 1001, "nodes": ["1"]}, 413, "too-large", "1,001 events"),
        ({"events": CHANGES[:1] * 10_001, "nodes": ["1"]}, 413, "too-large", "1,000"),
    ],
)
def test_what_is_not_asked_the_worker(
    api: httpx.Client, sent: dict[str, Any], status: int, kind: str, expected: str
) -> None:
    assert expected in str(assert_problem(api.post("/what-if", json=sent), status, kind)["detail"])


def test_without_a_worker_or_a_version_there_is_no_answer(
    api: httpx.Client, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
) -> None:
    sent = {"events": CHANGES[:1], "nodes": ["1"]}
    answer = api.post("/what-if", json=sent)
    assert_problem(answer, 503, "worker-away")
    assert answer.headers["retry-after"] == "1"
    writer.publish(publication("1-0", {"1": [1.0, 0.0]}))
    writer.heartbeat(60_000)
    # It is there, and does not answer.
    assert_problem(api.post("/what-if?timeout_ms=30", json=sent), 504, "not-answered")
    assert not list(redis_client.scan_iter(keys.question("*")))


def test_before_the_first_version_it_names_what_is_missing(
    api: httpx.Client, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    with AnsweringWorker(Run(PAIR).engine, redis_client, keys, tmp_path).at_work():
        body = assert_problem(api.post("/what-if", json={"events": CHANGES[:1], "nodes": ["1"]}), 503, "no-model")
    assert body["missing"]


def test_the_queue_is_bounded(redis_server: RedisServer, graph: str, writer: PredictionWriter) -> None:
    writer.publish(publication("1-0", {"1": [1.0, 0.0]}))
    writer.heartbeat(60_000)
    sent = {"events": CHANGES[:1], "nodes": ["1"]}
    with serving(redis_server.url, graph) as api, ThreadPoolExecutor(24) as pool, contextlib.ExitStack() as ended:
        waiting = [pool.submit(api.post, "/what-if?timeout_ms=800", json=sent) for _ in range(24)]
        ended.callback(lambda: [each.result() for each in waiting])
        kinds = sorted((each.result().status_code, each.result().json()["type"]) for each in waiting)
        # One client may have half of the places.
        assert kinds.count((504, "urn:olad:problem:not-answered")) == 16
        assert kinds.count((429, "urn:olad:problem:queue-full")) == 8
        assert all("retry-after" in each.result().headers for each in waiting)


def test_a_question_that_fails_leaves_the_worker_as_it_is(
    api: httpx.Client, answering_worker: AnsweringWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise RuntimeError("a secret")

    with monkeypatch.context() as broken:
        broken.setattr(answering_worker.lane.engine, "what_if", fail)
        answer = api.post("/what-if", json={"events": CHANGES[:1], "nodes": ["1"]})
    assert_problem(answer, 500, "internal")
    assert "secret" not in answer.text
    assert asked(api, CHANGES[1:2], ["1"])["predictions"][0]["label"]
