"""The value of an edge over HTTP: values in, predictions with an interval out, from a real worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from olad_core.value_tasks import ValueTaskAnswer
from service.client.http import Client
from service.store.keys import Keys
from tests.service.api.answering import AnsweringWorker, predicted_edge, sent, worker_of
from tests.service.api.serving import assert_problem

TYPES = {"rated": {"directed": True}, "moved": {"ids": True, "feature_width": 1}, "plain": {}, "paid": {}}
TASKS = {
    "rating": {"kind": "edge_value", "edge_type": "rated"},
    "amount": {"kind": "edge_value", "edge_type": "moved", "coverage": 0.8},
    "fraud": {"kind": "edge_class", "edge_type": "paid"},
}


@pytest.fixture
def worker(api: httpx.Client, redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[AnsweringWorker]:
    with worker_of(api, {"edge_types": TYPES, "tasks": TASKS}, redis_client, keys, tmp_path) as worker:
        yield worker


def edge(source: str, target: str, **fields: Any) -> dict[str, Any]:
    return {"op": "upsert_edge", "src": source, "dst": target, "type": "rated", "ts": 5.0, **fields}


def predicted(api: httpx.Client, position: str, **params: Any) -> dict[str, Any]:
    return predicted_edge(api, "rated", position, **params)


def test_an_edge_is_predicted_before_it_is_there_and_its_value_comes_later(
    api: httpx.Client, worker: AnsweringWorker
) -> None:
    position = sent(api, *[edge("a", f"x{number}", value=number % 5) for number in range(30)])
    before = predicted(api, position, src="a", dst="new", weight=2.5)
    low, high = before["interval"]
    assert 0 <= low <= before["value"] <= high <= 4
    assert (before["arrived"], before["at_arrival"], before["truth"]) == (False, None, None)
    assert (before["task"], before["coverage"], before["position"], before["behind"]) == ("rating", 0.9, position, 0)
    engine = worker.lane.engine
    dense = engine.value_tasks.answer(engine.graph, "rated", ("a", "new"), None, 2.5)
    assert isinstance(dense, ValueTaskAnswer)
    assert dense.edge.now == (before["value"], low, high)
    assert dense.version == before["model_version"]
    arrived = predicted(api, sent(api, edge("a", "new", weight=2.5)), src="a", dst="new")
    assert arrived["arrived"]
    assert arrived["at_arrival"] == {"value": before["value"], "interval": [low, high]}
    truth = {"op": "label", "src": "a", "dst": "new", "type": "rated", "value": 3.5}
    position = sent(api, truth)
    assert predicted(api, position, src="a", dst="new")["truth"] == 3.5
    with Client(str(api.base_url)) as client:
        found = client.predict_edge_value("a", "new", edge_type="rated", min_position=position)
        assert (found.truth, found.task, found.arrived) == (3.5, "rating", True)
        with pytest.raises(TypeError, match="name the edge"):
            client.predict_edge_value()


def test_edges_with_classes_and_with_values_are_asked_for_together(api: httpx.Client, worker: AnsweringWorker) -> None:
    moves = [edge("a", "b", type="moved", id=f"m{number}", x=[number], value=number) for number in range(20)]
    position = sent(api, *moves)
    edges = [
        {"id": "m7", "type": "moved"},
        {"src": "a", "dst": "b", "type": "moved", "x": [3.0]},
        {"src": "a", "dst": "b", "type": "rated"},
        {"src": "a", "dst": "b", "type": "paid"},
    ]
    answer = api.post("/predict/edge", json={"edges": edges}, params={"min_position": position, "timeout_ms": 30_000})
    assert answer.status_code == 200, answer.text
    known, new, *without = answer.json()["predictions"]
    assert (known["truth"], known["arrived"], known["coverage"], known["id"]) == (7.0, True, 0.8, "m7")
    assert (new["truth"], new["arrived"], new["task"]) == (None, False, "amount")
    assert [each["error"] for each in without] == ["no-model", "no-model"]


def test_what_is_missing_is_named(api: httpx.Client, worker: AnsweringWorker) -> None:
    body = assert_problem(api.get("/predict/edge?src=a&dst=b&type=rated"), 503, "no-model")
    assert body["missing"] == ["values of 10 edges"]
    assert_problem(api.get("/predict/edge?src=a&dst=b&type=plain"), 404, "no-task")


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (edge("a", "b", label="ok"), "label"),
        (edge("a", "b", type="paid", value=1.0), "value"),
        (edge("a", "b", type="plain", value=1.0), "value"),
        (edge("a", "b", value="much"), "value"),
        (edge("a", "b", value=1e16), "value"),
        ({"op": "label", "src": "a", "dst": "b", "type": "plain", "value": 1.0}, "value"),
        ({"op": "label", "src": "a", "dst": "b", "type": "rated", "value": 1.0, "label": "ok"}, "value"),
        ({"op": "label", "src": "a", "dst": "b", "type": "rated", "label": "ok"}, "label"),
        ({"op": "label", "id": "a", "value": 1.0}, "value"),
        ({"op": "label", "src": "a", "dst": "b", "type": "rated"}, "label"),
        ({"op": "upsert_node", "id": "a", "value": 1.0}, "value"),
    ],
)
def test_a_value_that_cannot_be_is_refused(api: httpx.Client, event: dict[str, Any], field: str) -> None:
    assert api.put("/schema", json={"edge_types": TYPES, "tasks": TASKS}).status_code == 200
    body = assert_problem(api.post("/events", json=[edge("a", "b"), event]), 422, "invalid-events")
    assert (1, field) in [(each["index"], each["field"]) for each in body["errors"]]  # type: ignore[attr-defined]


def test_what_a_task_is_about_stays(api: httpx.Client) -> None:
    assert api.put("/schema", json={"edge_types": TYPES, "tasks": TASKS}).status_code == 200
    other = {"rating": {"kind": "edge_value", "edge_type": "rated", "coverage": 0.5}}
    assert_problem(api.put("/schema", json={"tasks": other}), 409, "schema-conflict")
    assert_problem(api.put("/schema", json={"tasks": {"x": {"kind": "edge_values"}}}), 422, "invalid-request")
