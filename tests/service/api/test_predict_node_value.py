"""The value of a node over HTTP: values in, predictions with an interval out, from a real worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.csv
import pytest
import redis

from olad_core.node_value_tasks import NodeValueAnswer
from service.client.http import Client
from service.export.asked_nodes import of_lines
from service.export.failed import ExportFailed
from service.export.values import export_values
from service.store.keys import Keys
from service.worker.reporting import node_value_status
from tests.service.api.answering import AnsweringWorker, sent, worker_of
from tests.service.api.serving import assert_problem

SCHEMA = {"feature_width": 1, "tasks": {"price": {"kind": "node_value", "coverage": 0.8}}}


@pytest.fixture
def worker(api: httpx.Client, redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[AnsweringWorker]:
    with worker_of(api, SCHEMA, redis_client, keys, tmp_path) as worker:
        yield worker


def node(name: str, **fields: Any) -> dict[str, Any]:
    return {"op": "upsert_node", "id": name, "ts": 5.0, **fields}


def edge(source: str, target: str) -> dict[str, Any]:
    return {"op": "upsert_edge", "src": source, "dst": target, "ts": 5.0}


def valued(count: int = 30) -> list[dict[str, Any]]:
    return [node(f"n{at}", x=[at % 5], value=at % 5) for at in range(count)]


def predicted(api: httpx.Client, name: str, position: str, **params: Any) -> dict[str, Any]:
    answer = api.get(f"/predict/{name}", params={"min_position": position, "timeout_ms": 30_000, **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_node_is_answered_as_it_is_at_a_position_and_its_value_comes_later(
    api: httpx.Client, worker: AnsweringWorker
) -> None:
    position = sent(api, *valued(), node("new", x=[3.0]), edge("new", "n2"))
    first = predicted(api, "new", position)
    low, high = first["interval"]
    assert 0 <= low <= first["value"] <= high <= 4
    assert (first["node"], first["task"], first["coverage"], first["truth"]) == ("new", "price", 0.8, None)
    assert (first["position"], first["behind"]) == (position, 0)
    assert first["at_arrival"] is None  # the first values came with it
    position = sent(api, node("later", x=[3.0]), edge("later", "n2"))
    arrived = predicted(api, "later", position)
    assert arrived["at_arrival"] == {"value": arrived["value"], "interval": arrived["interval"]}
    position = sent(api, edge("later", "n4"), {"op": "label", "id": "later", "value": 3.5})
    after = predicted(api, "later", position, task="price")
    engine = worker.lane.engine
    (dense,) = engine.node_values.answers(engine.graph, ["later"], None, 100).nodes
    assert isinstance(dense, NodeValueAnswer)
    assert dense.node.now == (after["value"], *after["interval"])
    assert dense.version == after["model_version"]
    assert (after["truth"], after["at_arrival"]) == (3.5, arrived["at_arrival"])
    assert after["value"] != arrived["value"]
    with Client(str(api.base_url)) as client:
        found = client.predict_value("later", min_position=position)
        assert (found.truth, found.task, found.value) == (3.5, "price", after["value"])


def test_many_nodes_are_answered_at_one_position(api: httpx.Client, worker: AnsweringWorker) -> None:
    position = sent(api, *valued())
    params: dict[str, Any] = {"min_position": position, "timeout_ms": 30_000}
    body = api.post("/predict", json={"nodes": ["n1", 7, "n3"]}, params=params).json()
    one, unknown, other = body["predictions"]
    assert unknown == {"node": 7, "value": None, "error": "not-found"}
    assert [each["truth"] for each in (one, other)] == [1.0, 3.0]
    alone = predicted(api, "n3", position)
    assert {**other, "position": position, "behind": 0} == alone
    assert (body["position"], body["behind"]) == (position, 0)
    with Client(str(api.base_url)) as client:
        found = client.predict_values(["n1", "zz"], task="price", min_position=position)
        assert [each.error for each in found.predictions] == [None, "not-found"]
        assert found.predictions[0].value == one["value"]
    many = api.post("/predict", json={"nodes": [*range(1_001)]}, params={"task": "price"})
    assert_problem(many, 422, "invalid-request")


def test_what_is_missing_is_named(api: httpx.Client, worker: AnsweringWorker) -> None:
    position = sent(api, node("a"))
    params: dict[str, Any] = {"min_position": position, "timeout_ms": 30_000}
    body = assert_problem(api.get("/predict/a", params=params), 503, "no-model")
    assert body["missing"] == ["values of 10 nodes"]
    assert_problem(api.get("/predict/a?task=other"), 404, "no-task")
    assert_problem(api.get("/predict/none", params=params), 404, "unknown-node")
    refused = assert_problem(api.get("/predict/a?task=price&top=3&at=1-0"), 422, "invalid-request")
    assert [each["field"] for each in refused["errors"]] == ["top", "at"]  # type: ignore[attr-defined]


def test_a_node_with_more_edges_than_may_be_read_is_refused(api: httpx.Client, worker: AnsweringWorker) -> None:
    position = sent(api, *valued(), *(edge("hub", f"n{at}") for at in range(30)))
    predicted(api, "hub", position)
    worker.lane.engine.config = type(worker.lane.engine.config)(most_read=20)
    body = assert_problem(api.get("/predict/hub?timeout_ms=30000"), 413, "too-large")
    assert (body["need"], body["most"]) == (60, 20)


def test_where_nodes_have_classes_the_task_is_named(api: httpx.Client, worker: AnsweringWorker) -> None:
    classes = [{"op": "label", "id": f"n{at}", "label": "red" if at % 2 else "blue"} for at in range(20)]
    position = sent(api, *valued(), *classes)
    assert predicted(api, "n1", position, task="price")["truth"] == 1.0
    body = assert_problem(api.get("/predict/n1"), 503, "no-model")
    assert body["missing"] != ["values of 10 nodes"]


def test_a_value_without_a_task_is_refused(api: httpx.Client) -> None:
    types: dict[str, Any] = {"node_types": {"house": {}, "street": {}}}
    tasks = {"tasks": {"price": {"kind": "node_value", "node_type": "house"}}}
    early = assert_problem(api.post("/events", json=[{"op": "label", "id": "a", "value": 1.0}]), 422, "invalid-events")
    assert "PUT /schema with tasks" in str(early["detail"])
    assert api.put("/schema", json={**types, **tasks}).status_code == 200
    wrong = [node("a", type="street", value=1.0), node("b", type="house", value="much")]
    for event in wrong:
        body = assert_problem(api.post("/events", json=[event]), 422, "invalid-events")
        assert [each["field"] for each in body["errors"]] == ["value"]  # type: ignore[attr-defined]
    right = [node("a", type="house", value=1.0), {"op": "label", "id": "a", "value": -2.5}]
    assert api.post("/events", json=right).status_code == 202
    other = {"tasks": {"price": {"kind": "node_value", "node_type": "street"}}}
    assert_problem(api.put("/schema", json=other), 409, "schema-conflict")


def test_values_are_exported_with_their_positions(api: httpx.Client, worker: AnsweringWorker, tmp_path: Path) -> None:
    position = sent(api, *valued(40), {"op": "upsert_node", "id": "new", "x": [2.0]})
    path, ids = tmp_path / "values.csv", [b"new\n", b"n3\n", b"nobody\n"]
    with Client(str(api.base_url)) as client:
        done = export_values(client, of_lines(ids, "ids", 2), path, "price", position=position)
        with pytest.raises(ExportFailed, match="no node has one by the task 'other'"):
            export_values(client, of_lines(ids, "ids", 2), tmp_path / "none.csv", "other", position=None)
    assert (done.rows, done.missing, done.position, len(done.versions)) == (2, 1, position, 1)
    new, known = pyarrow.csv.read_csv(path).to_pylist()
    assert (new["node"], new["known_value"], known["node"], known["known_value"]) == ("new", None, "n3", 3.0)
    assert new["low"] <= new["value"] <= new["high"]
    assert new["value"] == pytest.approx(predicted(api, "new", position)["value"])
    assert {row["position"] for row in (new, known)} == {position}
    assert [each.name for each in tmp_path.glob("*.csv")] == ["values.csv"]


def test_the_status_and_the_metrics_have_the_scores(worker: AnsweringWorker, api: httpx.Client) -> None:
    sent(api, *valued(40))
    position = sent(api, *(node(f"m{at}", x=[at % 5]) for at in range(20)))
    position = sent(api, *({"op": "label", "id": f"m{at}", "value": at % 5} for at in range(20)))
    predicted(api, "m1", position)
    (report,) = worker.lane.engine.node_values.reports()
    status = node_value_status(report)
    assert (status.name, status.kind, status.node_type) == ("price", "node_value", "node")
    assert (status.labels, status.scored) == (60, 20)
    assert status.score.mae == report.scores.mae
    assert status.base_score.width == 0
