"""The class of an edge over HTTP: labels in, predictions out, from a real worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from olad_core.edge_tasks import TaskAnswer
from service.client.errors import UnknownClass
from service.client.http import Client
from service.store.keys import Keys
from tests.service.api.answering import AnsweringWorker, predicted_edge, sent, worker_of
from tests.service.api.serving import assert_problem

TYPES = {"paid": {"directed": True}, "moved": {"ids": True}, "wired": {"feature_width": 2}, "plain": {}}
TASKS = {
    "fraud": {"kind": "edge_class", "edge_type": "paid"},
    "stolen": {"kind": "edge_class", "edge_type": "moved"},
    "false": {"kind": "edge_class", "edge_type": "wired"},
}


@pytest.fixture
def worker(api: httpx.Client, redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[AnsweringWorker]:
    with worker_of(api, {"edge_types": TYPES, "tasks": TASKS}, redis_client, keys, tmp_path) as worker:
        yield worker


def edge(source: str, target: str, **fields: Any) -> dict[str, Any]:
    return {"op": "upsert_edge", "src": source, "dst": target, "type": "paid", "ts": 5.0, **fields}


def predicted(api: httpx.Client, position: str, **params: Any) -> dict[str, Any]:
    return predicted_edge(api, "paid", position, **params)


def test_an_edge_is_predicted_before_it_is_there_and_its_label_comes_later(
    api: httpx.Client, worker: AnsweringWorker
) -> None:
    known = [edge("a", f"x{number}", label="fraud") for number in range(20)]
    known += [edge("b", f"x{number}", label="ok") for number in range(20)]
    sent(api, *known[:5], *known[-5:])
    position = sent(api, *known)
    before = predicted(api, position, src="a", dst="new", weight=2.5)
    assert before["label"] == "fraud"
    assert not before["arrived"]
    assert (before["task"], before["position"], before["behind"]) == ("fraud", position, 0)
    engine = worker.lane.engine
    dense = engine.edge_tasks.answer(engine.graph, "paid", ("a", "new"), None, 2.5)
    assert isinstance(dense, TaskAnswer)
    assert dense.edge.probabilities == before["probabilities"]
    assert dense.version == before["model_version"]
    arrived = predicted(api, sent(api, edge("a", "new", weight=2.5)), src="a", dst="new")
    assert arrived["arrived"]
    assert arrived["at_arrival"] == before["probabilities"]
    assert arrived["truth"] is None
    label = {"op": "label", "src": "a", "dst": "new", "type": "paid", "label": "fraud"}
    assert predicted(api, sent(api, label), src="a", dst="new")["truth"] == "fraud"


def test_an_edge_with_an_id_is_asked_for_by_it(api: httpx.Client, worker: AnsweringWorker) -> None:
    moves = [edge("a", "b", type="moved", id=f"m{number}") for number in range(12)]
    sent(api, *moves)
    labels = [{"op": "label", "edge": f"m{number}", "type": "moved", "label": str(number % 2)} for number in range(8)]
    position = sent(api, *labels)
    found = predicted(api, position, type="moved", id="m7")
    assert (found["truth"], found["arrived"], found["id"]) == ("1", True, "m7")
    assert "src" not in found
    assert not predicted(api, position, type="moved", src="a", dst="b")["arrived"]
    assert_problem(api.get("/predict/edge?type=moved&id=m99"), 404, "unknown-edge")


def test_many_edges_are_answered_at_one_position_with_features_of_new_ones(
    api: httpx.Client, worker: AnsweringWorker
) -> None:
    learned = [
        edge(f"n{at}", f"m{at}", type="wired", x=[float(at), 1_000.0 * (at % 2)], label=("ok", "fraud")[at % 2])
        for at in range(400)
    ]
    sent(api, *learned[:200])
    sent(api, *learned[200:], *[edge("a", "b", type="moved", id=f"m{at}", label=str(at % 2)) for at in range(8)])
    position = sent(api, edge("a", "b"))
    asked: list[dict[str, Any]] = [
        {"src": "new", "dst": 7, "type": "wired", "x": [3.0, 1_000.0]},
        {"src": "new", "dst": 7, "type": "wired", "x": {"indices": [0], "values": [3.0]}},
        {"src": "new", "dst": 7, "type": "wired", "weight": 2.0},
        {"id": "m7", "type": "moved"},
        {"src": "a", "dst": "b", "type": "moved"},
        {"id": "m99", "type": "moved"},
        {"src": "a", "dst": "b", "type": "plain"},
        {"src": "a", "dst": "b", "type": "paid"},
    ]
    params: dict[str, str | int] = {"min_position": position, "timeout_ms": 30_000}
    answer = api.post("/predict/edge", params=params, json={"edges": asked})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["position"], body["behind"]) == (position, 0)
    found = body["predictions"]
    assert [{name: each[name] for name in ("src", "dst", "id") if name in each} for each in found] == [
        {name: each[name] for name in ("src", "dst", "id") if name in each} for each in asked
    ]
    assert found[0]["label"] == "fraud"
    assert found[1]["label"] == "ok"
    assert found[1]["probabilities"] != found[2]["probabilities"]
    assert (found[3]["truth"], found[3]["arrived"], found[4]["arrived"]) == ("1", True, False)
    assert [each.get("error") for each in found[5:]] == ["unknown-edge", "no-task", "no-model"]
    one = predicted(api, position, type="moved", id="m7")
    assert {name: one[name] for name in found[3]} == found[3]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"src": "a", "dst": "b", "type": "wired", "x": [1.0]}, "edges[1].x"),
        ({"src": "a", "dst": "b", "type": "wired", "x": [1.0, "two"]}, "edges[1].x[1]"),
        ({"src": "a", "dst": "b", "type": "paid", "x": [1.0, 2.0]}, "edges[1].x"),
        ({"src": "a", "dst": "b", "weight": -1.0}, "edges[1].weight"),
        ({"src": "a", "dst": "b", "type": "undeclared"}, "edges[1].type"),
        ({"src": "a", "type": "paid"}, "edges[1].dst"),
        ({"id": "m1", "dst": "b", "type": "moved"}, "edges[1].dst"),
        ({"id": "m1", "x": [1.0], "type": "moved"}, "edges[1].x"),
        ({"src": ["a"], "dst": "b"}, "edges[1].src"),
        ({"src": "", "dst": "b"}, "edges[1].src"),
    ],
)
def test_an_edge_that_cannot_be_is_refused_by_its_field(
    api: httpx.Client, worker: AnsweringWorker, asked: dict[str, Any], field: str
) -> None:
    answer = api.post("/predict/edge", json={"edges": [{"id": "m0", "type": "moved"}, asked]})
    body = assert_problem(answer, 422, "invalid-request")
    assert [each["field"] for each in body["errors"]] == [field]  # type: ignore[attr-defined]


@pytest.mark.parametrize("body", [{}, {"edges": []}, {"edges": [{"id": "a"}] * 101}, [], {"edges": {}}])
def test_a_body_without_edges_is_refused(api: httpx.Client, worker: AnsweringWorker, body: object) -> None:
    assert_problem(api.post("/predict/edge", json=body), 422, "invalid-request")


def test_the_likeliest_edges_without_a_label_are_listed(api: httpx.Client, worker: AnsweringWorker) -> None:
    known = [edge("ab"[at % 2], f"x{at}", label=("ok", "fraud")[at % 2]) for at in range(120)]
    for first in range(0, 120, 10):
        sent(api, *known[first : first + 10])
    position = sent(api, edge("a", "new"), edge("b", "new"), edge("b", "other"), edge("b", "labelled", label="fraud"))
    params: dict[str, str | int] = {"type": "paid", "min_position": position, "timeout_ms": 30_000}
    answer = api.get("/edges/top/fraud", params=params)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["task"], body["compared"], body["waiting"], body["position"]) == ("fraud", 3, 3, position)
    assert [(each["src"], each["label"]) for each in body["edges"]] == [("b", "fraud"), ("b", "fraud"), ("a", "ok")]
    for each in body["edges"]:
        one = predicted(api, position, src=each["src"], dst=each["dst"])
        assert one["probabilities"]["fraud"] == each["probability"]
    assert len(api.get("/edges/top/ok", params={**params, "limit": 1}).json()["edges"]) == 1
    assert_problem(api.get("/edges/top/none", params=params), 404, "unknown-class")
    assert_problem(api.get("/edges/top/fraud", params={**params, "type": "plain"}), 404, "no-task")
    assert_problem(api.get("/edges/top/x", params={**params, "type": "moved"}), 404, "unknown-class")


def test_what_has_no_answer(api: httpx.Client, worker: AnsweringWorker) -> None:
    assert_problem(api.get("/predict/edge?src=a&dst=b&type=plain"), 404, "no-task")
    body = assert_problem(api.get("/predict/edge?src=a&dst=b&type=paid"), 503, "no-model")
    assert body["missing"] == ["labels of edges of two classes"]
    for query in ("src=a", "dst=a", "src=a&dst=b&id=c", "src=&dst=a"):
        assert_problem(api.get(f"/predict/edge?{query}"), 422, "invalid-request")


def test_a_node_may_be_called_edge(api: httpx.Client, worker: AnsweringWorker) -> None:
    assert_problem(api.get("/predict/edge?timeout_ms=0&top=1"), 503, "no-model")


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (edge("a", "b", type="plain", label="ok"), "label"),
        ({"op": "label", "src": "a", "dst": "b", "type": "plain", "label": "ok"}, "label"),
        ({"op": "label", "src": "a", "type": "paid", "label": "ok"}, "dst"),
        ({"op": "label", "src": "a", "dst": "b", "type": "paid"}, "label"),
        ({"op": "label", "src": "a", "dst": "b", "id": "a", "type": "paid", "label": "ok"}, "id"),
        ({"op": "label", "edge": "e", "type": "paid", "label": "ok"}, "edge"),
        ({"op": "label", "src": "a", "dst": "b", "type": "moved", "label": "ok"}, "edge"),
        ({"op": "label", "src": "a", "dst": "b", "type": "none", "label": "ok"}, "type"),
        ({"op": "label", "id": "a", "type": "paid", "label": "ok"}, "type"),
        ({"op": "label", "label": "ok"}, "id"),
    ],
)
def test_a_label_that_cannot_be_is_refused(
    api: httpx.Client, worker: AnsweringWorker, event: dict[str, Any], field: str
) -> None:
    body = assert_problem(api.post("/events", json=[edge("a", "b"), event]), 422, "invalid-events")
    assert (1, field) in [(each["index"], each["field"]) for each in body["errors"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("task", "word"),
    [
        ({"kind": "edge_class", "edge_type": "plain"}, "which stays"),
        ({"kind": "edge_class", "edge_type": "none"}, "not declared"),
    ],
)
def test_a_task_that_contradicts_is_refused(api: httpx.Client, worker: AnsweringWorker, task: Any, word: str) -> None:
    name = "fraud" if word == "which stays" else "more"
    assert word in str(assert_problem(api.put("/schema", json={"tasks": {name: task}}), 409, "schema-conflict"))
    other = {"other": {"kind": "edge_class", "edge_type": "paid"}}
    assert_problem(api.put("/schema", json={"tasks": other}), 409, "schema-conflict")


def test_a_class_that_only_edges_have_is_listed_of_them(
    redis_client: redis.Redis, api: httpx.Client, keys: Keys, tmp_path: Path
) -> None:
    tasks = {
        "fraud": {"kind": "edge_class", "edge_type": "paid", "classes": ["ok", "fraud"]},
        "stolen": {"kind": "edge_class", "edge_type": "moved", "classes": ["ok", "stolen"]},
    }
    with worker_of(api, {"edge_types": TYPES, "tasks": tasks}, redis_client, keys, tmp_path):
        sent(api, *[edge("ab"[at % 2], f"x{at}", label=("ok", "fraud")[at % 2]) for at in range(20)])
        position = sent(api, edge("a", "new"), edge("b", "new"))
        params: dict[str, str | int] = {"min_position": position, "timeout_ms": 30_000, "limit": 5}
        answer = api.get("/top/fraud", params=params)
        assert answer.status_code == 200, answer.text
        assert answer.json() == api.get("/edges/top/fraud", params={**params, "type": "paid"}).json()
        assert len(answer.json()["edges"]) == 2
        assert_problem(api.get("/top/fraud", params={**params, "labelled": True}), 422, "invalid-request")
        several = assert_problem(api.get("/top/ok", params=params), 404, "unknown-class")
        assert "type=moved, type=paid" in str(several["detail"])
        assert_problem(api.get("/top/other", params={"limit": 5}), 503, "no-model")
        with Client(str(api.base_url)) as client, pytest.raises(UnknownClass, match="olad top --edges"):
            client.top("fraud", min_position=position)
