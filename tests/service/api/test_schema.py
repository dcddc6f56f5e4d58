from __future__ import annotations

import httpx
import redis

from olad_core.events import GraphSchema
from service.keys import Keys
from service.stream import LogReader
from tests.service.api.serving import assert_problem

EMPTY: dict[str, object] = {
    "feature_width": None,
    "classes": [],
    "directed": False,
    "edge_lifetime": None,
    "ts_ahead_max": None,
    "feature_width_held": False,
}
NODE = {"op": "upsert_node", "id": 1, "x": [1, 2, 3]}


def test_nothing_is_declared_at_first(api: httpx.Client) -> None:
    assert api.get("/schema").json() == EMPTY


def test_a_declaration_is_stored_and_reaches_the_log(api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
    declared = {"feature_width": 3, "classes": ["a", "b"], "directed": True, "edge_lifetime": 60.0, "ts_ahead_max": 9.0}
    assert api.put("/schema", json=declared).json() == EMPTY | declared
    assert api.get("/schema").json() == EMPTY | declared
    (entry,) = LogReader(redis_client, keys).read("0-0", max_events=9)
    assert entry.schema == GraphSchema(**declared)  # type: ignore[arg-type]


def test_what_was_read_can_be_sent_back(api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
    api.put("/schema", json={"classes": ["a"]})
    schema = api.get("/schema").json()
    assert api.put("/schema", json=schema).json() == schema
    assert redis_client.xlen(keys.log) == 1


def test_the_first_features_hold_the_width(api: httpx.Client) -> None:
    api.post("/events", json=[NODE])
    assert api.get("/schema").json() == EMPTY | {"feature_width": 3, "feature_width_held": True}
    body = assert_problem(api.put("/schema", json={"feature_width": 4}), 409, "schema-conflict")
    assert body["detail"] == "feature_width is 4, but features of width 3 have arrived"
    assert api.put("/schema", json={"feature_width": 3}).status_code == 200


def test_directed_cannot_flip_after_the_first_event(api: httpx.Client) -> None:
    api.post("/events", json=[NODE])
    assert_problem(api.put("/schema", json={"directed": True}), 409, "schema-conflict")
    assert api.get("/schema").json()["directed"] is False


def test_bad_bodies(api: httpx.Client) -> None:
    cases = [
        (b'{"feature_width":0}', "feature_width"),
        (b'{"feature_width":"three"}', "feature_width"),
        (b'{"classes":["a","a"]}', "classes"),
        (b'{"classes":["a",1]}', "classes.1"),
        (b'{"edge_lifetime":-1}', "edge_lifetime"),
        (b'{"width":1}', "width"),
        (b"[]", ""),
        (b"", ""),
        (b"\xff", ""),
    ]
    for sent, field in cases:
        answer = api.put("/schema", content=sent, headers={"content-type": "application/json"})
        body = assert_problem(answer, 422, "invalid-request")
        assert isinstance(body["errors"], list)
        assert body["errors"][0]["field"] == field


def test_limits_of_the_body(api: httpx.Client) -> None:
    assert_problem(api.put("/schema", content=b"{}"), 415, "unsupported-media-type")
    big = api.put("/schema", content=b" " * (2**20 + 1), headers={"content-type": "application/json"})
    assert_problem(big, 413, "too-large")
