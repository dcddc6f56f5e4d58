"""Explanations of edges over HTTP, compared with what is really sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service.store.keys import Keys
from tests.service.api.answering import AnsweringWorker, predicted_edge, sent, worker_of
from tests.service.api.serving import assert_problem

SCHEMA = {
    "edge_types": {"paid": {"directed": True}, "moved": {"ids": True}, "rated": {}, "plain": {}},
    "tasks": {
        "fraud": {"kind": "edge_class", "edge_type": "paid"},
        "stolen": {"kind": "edge_class", "edge_type": "moved"},
        "stars": {"kind": "edge_value", "edge_type": "rated"},
    },
}


@pytest.fixture
def worker(api: httpx.Client, redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[AnsweringWorker]:
    with worker_of(api, SCHEMA, redis_client, keys, tmp_path) as worker:
        yield worker


def edge(source: str, target: str, **fields: Any) -> dict[str, Any]:
    return {"op": "upsert_edge", "src": source, "dst": target, "type": "paid", "ts": 5.0, **fields}


def label(source: str, target: str, name: str) -> dict[str, Any]:
    return {"op": "label", "src": source, "dst": target, "type": "paid", "label": name}


def explained(api: httpx.Client, position: str, **params: Any) -> dict[str, Any]:
    asked = {"type": "paid", "min_position": position, "timeout_ms": 30_000, **params}
    answer = api.get("/explain/edge", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def learned(api: httpx.Client) -> str:
    """The position of labels from which the task has learned; the edge from a to late has none yet."""
    pairs = [(name, f"x{at}") for name in ("a", "b") for at in range(20)]
    sent(api, edge("a", "late"), *[edge(*pair, weight=2.0) for pair in pairs])
    return sent(api, *[label(*pair, "fraud" if pair[0] == "a" else "ok") for pair in pairs])


def test_a_label_that_really_comes_changes_what_is_explained(api: httpx.Client, worker: AnsweringWorker) -> None:
    asked = {"src": "a", "dst": "new"}
    before = predicted_edge(api, "paid", learned(api), **asked)
    position = sent(api, label("a", "late", "fraud"))
    after = predicted_edge(api, "paid", position, **asked)
    assert before["model_version"] == after["model_version"], "the model has learned in between"
    found = explained(api, position, **asked, k=64)
    assert (found["label"], found["probability"]) == (after["label"], after["probabilities"]["fraud"])
    assert (found["task"], found["arrived"], found["model_version"]) == ("fraud", False, after["model_version"])
    assert (found["position"], found["behind"]) == (position, 0)
    of_late = next(each for each in found["labels"] if each["dst"] == "late")
    assert of_late == {"src": "a", "dst": "late", "label": "fraud", "change": of_late["change"]}
    really = before["probabilities"]["fraud"] - after["probabilities"]["fraud"]
    assert of_late["change"] == pytest.approx(really, abs=1e-6)
    assert found["count"] == 21
    few = explained(api, position, **asked, k=2)
    assert few["labels"] == found["labels"][:2]
    again = predicted_edge(api, "paid", position, **asked)
    assert again["probabilities"] == after["probabilities"]


def test_without_all_parts_it_is_an_edge_between_unknown_nodes(api: httpx.Client, worker: AnsweringWorker) -> None:
    position = learned(api)
    found = explained(api, position, src="a", dst="x3", weight=3.0)
    assert found["arrived"]
    new = explained(api, position, src="a", dst="new", weight=3.0)
    for params, effect in (
        ({"src": "nobody", "dst": "none", "weight": 1.0}, new["total"]),
        ({"src": "a", "dst": "new", "weight": 1.0}, part(new, "weight")),
    ):
        without = predicted_edge(api, "paid", position, **params)["probabilities"][new["label"]]
        assert without - new["probability"] == pytest.approx(effect, abs=1e-6)
    assert {(each["kind"], each.get("end")) for each in new["effects"]} == {
        ("weight", None),
        ("edges", "source"),
        ("labels", "source"),
    }
    assert new["interaction"] == pytest.approx(new["total"] - sum(each["change"] for each in new["effects"]), abs=1e-6)


def part(found: dict[str, Any], kind: str) -> float:
    change: float = next(each["change"] for each in found["effects"] if each["kind"] == kind)
    return change


def test_what_cannot_be_explained(api: httpx.Client, worker: AnsweringWorker) -> None:
    moves = [edge("a", "b", type="moved", id=f"m{at}", label=str(at % 2)) for at in range(8)]
    position = sent(api, *moves)
    assert explained(api, position, type="moved", id="m7")["arrived"]
    assert_problem(api.get("/explain/edge?type=moved&id=m99"), 404, "unknown-edge")
    assert_problem(api.get("/explain/edge?type=plain&src=a&dst=b"), 404, "no-task")
    body = assert_problem(api.get("/explain/edge?type=rated&src=a&dst=b"), 404, "no-task")
    assert "only classes are explained" in str(body["detail"])
    assert_problem(api.get("/explain/edge?type=paid&src=a&dst=b"), 503, "no-model")
    for query in ("src=a", "src=a&dst=b&id=c", "src=a&dst=b&k=0", "src=a&dst=b&k=65", "src=a&dst=b&weight=0"):
        assert_problem(api.get(f"/explain/edge?{query}"), 422, "invalid-request")
    # Without an edge in the query it is the node of this name.
    assert_problem(api.get("/explain/edge"), 503, "no-model")
