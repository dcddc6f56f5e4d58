"""Links over HTTP: the task in the schema, edges in, scores of pairs and partners out, from a real worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import redis

from olad_core.link_tasks import LinkAnswer
from service.store.keys import Keys
from service.worker.reporting import link_status
from tests.olad_core.test_link_tasks import purchases
from tests.service.api.answering import AnsweringWorker, worker_of
from tests.service.api.serving import assert_problem

SCHEMA = {
    "edge_types": {"buys": {"directed": True, "ids": True}, "knows": {}, "plain": {}},
    "tasks": {"next": {"kind": "link", "edge_type": "buys"}, "friends": {"kind": "link", "edge_type": "knows"}},
}


@pytest.fixture
def worker(api: httpx.Client, redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[AnsweringWorker]:
    with worker_of(api, SCHEMA, redis_client, keys, tmp_path) as worker:
        yield worker


def sent(api: httpx.Client, entries: int = 60) -> str:
    position = ""
    for events in purchases(entries, 0):
        body = msgspec.json.encode(events)
        answer = api.post("/events", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 202, answer.text
        position = answer.json()["position"]
    return position


def found(api: httpx.Client, path: str, position: str, **params: Any) -> dict[str, Any]:
    wait: dict[str, Any] = {"type": "buys", "min_position": position, "timeout_ms": 60_000}
    answer = api.get(path, params=wait | params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_pairs_and_partners_are_scored_at_a_position(api: httpx.Client, worker: AnsweringWorker) -> None:
    position = sent(api)
    listed = found(api, "/links/b3", position, k=5)
    engine = worker.lane.engine
    expected = engine.link_tasks.partners(engine.graph, "buys", "b3", 5, linked=False)
    assert isinstance(expected, LinkAnswer)
    assert [(each["node"], each["score"]) for each in listed["links"]] == [
        *zip(expected.nodes, expected.scores, strict=True)
    ]
    assert (listed["node"], listed["type"], listed["task"], listed["all"]) == ("b3", "buys", "next", True)
    assert (listed["position"], listed["behind"]) == (position, 0)
    for each in listed["links"]:
        pair = found(api, "/predict/link", position, src="b3", dst=each["node"])
        assert pair["score"] == pytest.approx(each["score"], abs=1e-5)
        assert (pair["linked"], pair["model_version"]) == (False, listed["model_version"])
    best = {
        "op": "upsert_edge",
        "src": "b3",
        "dst": listed["links"][0]["node"],
        "type": "buys",
        "id": "now",
        "ts": 60.0,
    }
    position = api.post("/events", json=[best]).json()["position"]
    assert found(api, "/predict/link", position, src="b3", dst=best["dst"])["linked"]
    assert best["dst"] not in [each["node"] for each in found(api, "/links/b3", position, k=1000)["links"]]
    with_linked = found(api, "/links/b3", position, k=1000, linked=True)["links"]
    assert {"node": best["dst"], "linked": True}.items() <= next(
        each for each in with_linked if each["node"] == best["dst"]
    ).items()
    assert found(api, "/predict/link", position, src="nobody", dst="nothing")["linked"] is False
    name = {"stage": "link"}
    assert worker.metrics.registry.get_sample_value("olad_worker_stage_seconds_count", name) == 10
    status = link_status(engine.link_tasks.reports()[0])
    assert status.score is not None
    assert status.popularity is not None
    assert status.scored > 50


def test_what_has_no_answer(api: httpx.Client, worker: AnsweringWorker) -> None:
    position = sent(api)
    query = f"min_position={position}&timeout_ms=60000"
    assert_problem(api.get(f"/links/b3?type=plain&{query}"), 404, "no-task")
    assert_problem(api.get(f"/predict/link?src=a&dst=b&type=plain&{query}"), 404, "no-task")
    body = assert_problem(api.get(f"/predict/link?src=a&dst=b&type=knows&{query}"), 503, "no-model")
    assert body["missing"] == ["edges of the type to nodes that had some before"]
    assert_problem(api.get(f"/links/nobody?type=buys&{query}"), 404, "unknown-node")
    for path in ("/predict/link?src=a", "/predict/link?src=a&dst=", "/links/b3?k=0", "/links/b3?k=1001", "/links/%ff"):
        assert_problem(api.get(path), 422, "invalid-request")
    assert_problem(api.get("/predict/link?timeout_ms=0"), 503, "no-model")  # the node that is called so
    other = {"tasks": {"more": {"kind": "link", "edge_type": "buys"}}}
    assert_problem(api.put("/schema", json=other), 409, "schema-conflict")
    labelled = {"op": "upsert_edge", "src": "a", "dst": "b", "type": "buys", "id": "e", "label": "x"}
    assert_problem(api.post("/events", json=[labelled]), 422, "invalid-events")
