"""The edges of a node over HTTP, and what a key allows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import redis

from service.api_keys import create_key
from service.store.keys import Keys
from tests.olad_core.runs import PAIR, Run
from tests.redis_server import RedisServer
from tests.service.api.answering import AnsweringWorker
from tests.service.api.serving import assert_problem, serving


def test_undirected_edges_have_both_directions(api: httpx.Client, answering_worker: AnsweringWorker) -> None:
    found = api.get("/neighbours/7").json()
    explained = api.get("/explain/7?k=1000").json()
    assert {edge["node"] for edge in found["edges"]} == {
        effect["node"] for effect in explained["effects"] if effect["kind"] == "edge"
    }
    known = {effect["node"]: effect["label"] for effect in explained["effects"] if effect["kind"] == "label"}
    assert {edge["node"]: edge["label"] for edge in found["edges"] if "label" in edge} == {
        node: label for node, label in known.items() if node != "7"
    }
    assert found["label"] == known.get("7")
    assert {edge["direction"] for edge in found["edges"]} == {"both"}
    assert found["count"] == len(found["edges"])
    assert found["position"] == explained["position"]


def test_directed_edges_are_listed_by_weight(api: httpx.Client, answering_worker: AnsweringWorker) -> None:
    types = {"sent": {"directed": True}, "knows": {"directed": False}}
    assert api.put("/schema", json={"edge_types": types}).status_code == 200
    edges = [("a/b", "hub", "sent", 2.0), ("hub", "out", "sent", 3.0), ("hub", "friend", "knows", 1.0)]
    events = [{"op": "upsert_edge", "src": s, "dst": d, "type": t, "weight": w} for s, d, t, w in edges]
    answer = api.post("/events", json=[{"op": "upsert_node", "id": "a/b", "label": "odd"}, *events])
    position = answer.json()["position"]
    found = api.get(f"/neighbours/hub?limit=2&min_position={position}&timeout_ms=60000").json()
    assert found["edges"] == [
        {"node": "out", "direction": "out", "weight": 3.0, "type": "sent"},
        {"node": "a/b", "direction": "in", "weight": 2.0, "type": "sent", "label": "odd"},
    ]
    assert (found["count"], found["label"], found["position"]) == (3, None, position)
    for node, expected in (("a%2Fb", ("hub", "out")), ("friend", ("hub", "both"))):
        ends = api.get(f"/neighbours/{node}").json()["edges"]
        assert [(edge["node"], edge["direction"]) for edge in ends] == [expected]


def test_what_cannot_be_listed(
    api: httpx.Client, answering_worker: AnsweringWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_problem(api.get("/neighbours/nobody"), 404, "unknown-node")
    for path in ("/neighbours/", "/neighbours/%ff", "/neighbours/7?limit=0", "/neighbours/7?limit=1001"):
        assert_problem(api.get(path), 422, "invalid-request")
    engine = answering_worker.lane.engine
    monkeypatch.setattr(engine, "config", replace(engine.config, most_read=1))
    assert assert_problem(api.get("/neighbours/7"), 413, "too-large")["most"] == 1


def test_edges_are_listed_before_the_first_version(
    api: httpx.Client, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    assert_problem(api.get("/neighbours/7"), 503, "worker-away")
    with AnsweringWorker(Run(PAIR).engine, redis_client, keys, tmp_path).at_work():
        position = api.post("/events", json=[{"op": "upsert_edge", "src": "a", "dst": "b"}]).json()["position"]
        (edge,) = api.get(f"/neighbours/a?min_position={position}&timeout_ms=60000").json()["edges"]
        assert edge == {"node": "b", "direction": "both", "weight": 1.0}


def test_a_key_reports_its_scopes(redis_server: RedisServer, graph: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    read, admin = create_key(file, "viewer", ["read"]), create_key(file, "operator", ["admin"])
    with serving(redis_server.url, graph, api_keys_file=file) as api:
        assert_problem(api.get("/key"), 401, "unauthenticated")
        for key, expected in (
            (read, {"name": "viewer", "scopes": ["read"]}),
            (admin, {"name": "operator", "scopes": ["read", "write", "admin"]}),
        ):
            answer = api.get("/key", headers={"authorization": f"Bearer {key}"})
            assert answer.json() == expected
            assert key not in answer.text


def test_without_keys_everything_is_allowed(api: httpx.Client) -> None:
    assert api.get("/key").json() == {"name": None, "scopes": ["read", "write", "admin"]}
