"""Explanations over HTTP, each change compared with the removal that is really sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service.store.keys import Keys
from tests.olad_core.runs import PAIR, Run, learned
from tests.service.api.answering import AnsweringWorker
from tests.service.api.serving import assert_problem


def sent(api: httpx.Client, events: Sequence[dict[str, Any]]) -> str:
    answer = api.post("/events", json=events)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["position"])


def explained(api: httpx.Client, path: str) -> dict[str, Any]:
    answer = api.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def probability(api: httpx.Client, node: str, label: str, position: str) -> float:
    share: float = api.get(f"/predict/{node}?min_position={position}&timeout_ms=60000").json()["probabilities"][label]
    return share


def removal(found: dict[str, Any], effect: dict[str, Any]) -> dict[str, Any] | None:
    """The event that takes away the same; None for a label."""
    if effect["kind"] == "edge":
        return {"op": "remove_edge", "src": effect["node"], "dst": found["node"]}
    return {"op": "upsert_node", "id": effect["node"], "x": [0.0] * 3} if effect["kind"] == "features" else None


def test_an_edge_is_removed_for_real_and_put_back(api: httpx.Client, answering_worker: AnsweringWorker) -> None:
    found = explained(api, "/explain/20?k=1000")
    prediction = api.get("/predict/20").json()
    assert (found["label"], found["model_version"]) == (prediction["label"], prediction["model_version"])
    assert (found["position"], found["behind"]) == (prediction["position"], 0)
    label = found["label"]
    assert found["probability"] == pytest.approx(prediction["probabilities"][label], abs=1e-6)
    edges = [effect for effect in found["effects"] if effect["kind"] == "edge"]
    assert len(edges) >= 2
    for effect in edges:
        event = removal(found, effect)
        assert event is not None
        without = probability(api, "20", label, sent(api, [event]))
        assert without - found["probability"] == pytest.approx(effect["change"], abs=1e-6)
        back = sent(api, [{"op": "upsert_edge", "src": effect["node"], "dst": "20"}])
        assert probability(api, "20", label, back) == pytest.approx(found["probability"], abs=1e-6)


def test_the_changes_are_those_of_what_if(api: httpx.Client, answering_worker: AnsweringWorker) -> None:
    found = explained(api, "/explain/7?k=1000")
    kinds = {effect["kind"] for effect in found["effects"]}
    assert kinds == {"edge", "label", "features"}
    for effect in found["effects"]:
        event = removal(found, effect)
        if event is None:
            assert effect["label"] in {"even", "odd"}
            continue
        tried = api.post("/what-if", json={"events": [event], "nodes": ["7"]}).json()
        after = tried["predictions"][0]["probabilities"][found["label"]]
        assert after - found["probability"] == pytest.approx(effect["change"], abs=1e-6)
    assert found["count"] == len(found["effects"])
    assert found["total"] - sum(effect["change"] for effect in found["effects"]) == pytest.approx(found["interaction"])
    few = explained(api, "/explain/7?k=2")
    assert few == {**found, "effects": found["effects"][:2]}
    assert len(explained(api, "/explain/7")["effects"]) == min(10, found["count"])
    name = {"stage": "explain"}
    assert answering_worker.metrics.registry.get_sample_value("olad_worker_stage_seconds_count", name) == 3


def test_it_waits_for_a_position(api: httpx.Client, answering_worker: AnsweringWorker) -> None:
    late = {"op": "upsert_node", "id": "a/b c", "x": [1.0, 0.0, 0.0]}
    position = sent(api, [late, {"op": "upsert_edge", "src": "7", "dst": "a/b c"}])
    found = explained(api, f"/explain/a%2Fb%20c?min_position={position}&timeout_ms=60000")
    assert found["node"] == "a/b c"
    assert found["position"] == position
    assert {effect["node"] for effect in found["effects"] if effect["kind"] == "edge"} == {"7"}
    assert "type" not in found["effects"][0]


def test_what_cannot_be_explained(
    api: httpx.Client, answering_worker: AnsweringWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = assert_problem(api.get("/explain/nobody"), 404, "unknown-node")
    assert body["position"] == answering_worker.lane.engine.position
    for path in ("/explain/", "/explain/%ff", "/explain/7?k=0", "/explain/7?k=1001"):
        assert_problem(api.get(path), 422, "invalid-request")
    engine = answering_worker.lane.engine
    monkeypatch.setattr(engine, "config", replace(engine.config, most_read=3))
    body = assert_problem(api.get("/explain/7"), 413, "too-large")
    assert body["most"] == 3
    assert isinstance(body["need"], int)
    assert body["need"] > 3


def test_before_the_first_version_it_names_what_is_missing(
    api: httpx.Client, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    assert_problem(api.get("/explain/7"), 503, "worker-away")
    with AnsweringWorker(Run(PAIR).engine, redis_client, keys, tmp_path).at_work():
        assert_problem(api.get("/explain/7"), 503, "no-model")


def test_the_group_is_explained(api: httpx.Client, redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> None:
    run = learned(Run(replace(PAIR, serve="group")))
    with AnsweringWorker(run.engine, redis_client, keys, tmp_path).at_work():
        found = explained(api, "/explain/20?k=1000")
        assert found["student"] == "group"
        for effect in found["effects"]:
            event = removal(found, effect)
            if effect["kind"] == "edge" and event is not None:
                without = probability(api, "20", found["label"], sent(api, [event]))
                assert without - found["probability"] == pytest.approx(effect["change"], abs=1e-6)
                sent(api, [{"op": "upsert_edge", "src": effect["node"], "dst": "20"}])
