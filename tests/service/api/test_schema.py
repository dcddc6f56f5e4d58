from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import httpx
import numpy as np
import pytest
import redis

from olad_core.events import GraphSchema, SparseFeatures, UpsertEdge
from olad_core.graph import DynamicGraph
from service.store.keys import Keys
from service.store.log_reader import LogReader
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving

EMPTY: dict[str, object] = {
    "feature_width": None,
    "classes": [],
    "directed": False,
    "edge_lifetime": None,
    "ts_ahead_max": None,
    "decisions": {},
    "edge_types": {},
    "node_types": {},
    "tasks": {},
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


def test_decisions_are_declared_replaced_and_removed(api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
    found = api.put("/schema", json={"classes": ["a"], "decisions": {"b": {"threshold": 0.2}}}).json()
    assert found["classes"] == ["a", "b"]  # a class that a decision names is declared with it
    assert found["decisions"] == {"b": {"threshold": 0.2, "cost": None, "top_share": None}}
    assert api.put("/schema", json=found).json() == found
    replaced = api.put("/schema", json={"decisions": {"a": {"cost": 3}}}).json()["decisions"]
    assert replaced == {"a": {"threshold": None, "cost": 3.0, "top_share": None}}
    assert api.put("/schema", json={"directed": True}).json()["decisions"] == replaced
    assert api.put("/schema", json={"decisions": {}}).json()["decisions"] == {}
    entries = LogReader(redis_client, keys).read("0-0", max_events=9)
    graph = DynamicGraph()
    for entry in entries:
        assert entry.schema is not None
        graph.declare(entry.schema)
    assert (graph.schema.classes, graph.decisions) == (("a", "b"), {})
    # An earlier release can read what has no decisions.
    assert "decisions" not in str(redis_client.xrevrange(keys.log, count=1))


@pytest.mark.parametrize(
    "decision", [{}, {"threshold": 0.2, "cost": 2}, {"threshold": 0}, {"threshold": 1.1}, {"cost": -1}, {"more": 1}]
)
def test_a_decision_that_is_none_is_answered_422(api: httpx.Client, decision: dict[str, float]) -> None:
    body = assert_problem(api.put("/schema", json={"decisions": {"b": decision}}), 422, "invalid-request")
    assert "'field': 'decisions.b" in str(body["errors"])


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


class TestClassesAreBounded:
    @pytest.fixture
    def api(self, redis_server: RedisServer, graph: str) -> Iterator[httpx.Client]:
        with serving(redis_server.url, graph, max_classes=3) as client:
            yield client

    def labels(self, api: httpx.Client, *labels: object) -> httpx.Response:
        return api.post("/events", json=[{"op": "label", "id": 1, "label": label} for label in labels])

    def test_labels_beyond_them_are_refused_by_name(
        self, api: httpx.Client, keys: Keys, redis_client: redis.Redis
    ) -> None:
        assert self.labels(api, "a", 5, "a").status_code == 202
        body = assert_problem(self.labels(api, "5", "b", "c"), 422, "too-many-classes")
        assert "'c' would be a new class, and the graph has the 3 that it may have. " in str(body["detail"])
        assert "OLAD_MAX_CLASSES" in str(body["detail"])
        node = {"op": "upsert_node", "id": 2, "label": "b"}
        assert api.post("/events", json=[node]).status_code == 202
        assert_problem(api.post("/events", json=[node | {"label": "c"}]), 422, "too-many-classes")
        assert self.labels(api, "a", "b", "5").status_code == 202
        assert redis_client.xlen(keys.log) == 3

    def test_declared_ones_count(self, api: httpx.Client) -> None:
        assert_problem(api.put("/schema", json={"classes": ["a", "b", "c", "d"]}), 422, "too-many-classes")
        api.put("/schema", json={"classes": ["a", "b"]})
        assert self.labels(api, "c").status_code == 202
        assert_problem(self.labels(api, "d"), 422, "too-many-classes")
        assert_problem(api.put("/schema", json={"classes": ["d"]}), 422, "too-many-classes")
        assert api.put("/schema", json={"classes": ["c"]}).json()["classes"] == ["a", "b", "c"]

    def test_a_batch_sent_again_is_answered_as_before(self, api: httpx.Client) -> None:
        key = {"Idempotency-Key": "one"}
        batch = [{"op": "label", "id": 1, "label": label} for label in "abc"]
        assert api.post("/events", json=batch, headers=key).status_code == 202
        assert api.post("/events", json=batch, headers=key).headers["Idempotent-Replayed"] == "true"

    def test_other_processes_count_too(self, api: httpx.Client, redis_server: RedisServer, graph: str) -> None:
        with serving(redis_server.url, graph, max_classes=3) as other:
            assert self.labels(api, "a", "b").status_code == 202
            assert self.labels(other, "c").status_code == 202
            assert_problem(self.labels(api, "d"), 422, "too-many-classes")
            assert_problem(self.labels(other, "d"), 422, "too-many-classes")


def test_ten_thousand_new_labels_are_refused(api: httpx.Client) -> None:
    batch = [{"op": "upsert_node", "id": n, "label": f"order-{n}"} for n in range(10_000)]
    assert_problem(api.post("/events", json=batch), 422, "too-many-classes")


def test_a_width_can_be_taken_back_until_features_come(
    api: httpx.Client, keys: Keys, redis_client: redis.Redis
) -> None:
    graph = DynamicGraph()
    for width in (3, 5, None, 2):
        assert api.put("/schema", json={"feature_width": width}).status_code == 200
    assert api.post("/events", json=[NODE | {"x": [1, 2]}]).status_code == 202
    for entry in LogReader(redis_client, keys).read("0-0", max_events=99):
        if entry.schema is not None:
            graph.declare(entry.schema)
        else:
            assert graph.apply(entry.events, 0.0).rejected == []
    assert graph.num_features == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/clock", '{"time": true}'),
        ("/clock", '{"time": "5"}'),
        ("/clock", '{"time": NaN}'),
        ("/clock", '{"time": 1e400}'),
        ("/schema", '{"edge_lifetime": true}'),
        ("/schema", '{"edge_lifetime": "5"}'),
        ("/schema", '{"edge_lifetime": Infinity}'),
        ("/schema", '{"feature_width": "3"}'),
        ("/schema", '{"feature_width": true}'),
        ("/schema", '{"directed": "yes"}'),
        ("/schema", '{"directed": 1}'),
        ("/schema", '{"classes": "ab"}'),
    ],
)
def test_a_value_of_another_type_is_not_converted(api: httpx.Client, path: str, body: str) -> None:
    """An ``edge_lifetime`` of ``true`` would let all edges older than 1 expire."""
    answer = api.put(path, content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422, "invalid-request")
    assert api.get("/schema").json() == EMPTY


class TestTypesOfEdges:
    def test_they_are_declared_added_to_and_stay(
        self, api: httpx.Client, redis_client: redis.Redis, keys: Keys
    ) -> None:
        sent = {"directed": True, "lifetime": 7.0}
        found = api.put("/schema", json={"edge_types": {"sent": sent, "knows": {}}}).json()
        assert found["edge_types"] == {
            "sent": sent | {"ids": False, "feature_width": None},
            "knows": {"directed": None, "lifetime": None, "ids": False, "feature_width": None},
        }
        assert api.put("/schema", json=found).json() == found
        more = api.put("/schema", json={"edge_types": {"knows": {"lifetime": 2.0}, "used": {}}}).json()["edge_types"]
        assert (list(more), more["knows"]["lifetime"]) == (["sent", "knows", "used"], 2.0)
        *_, entry = LogReader(redis_client, keys).read("0-0", max_events=9)
        assert entry.schema is not None
        assert list(entry.schema.edge_types) == list(more)

    def test_events_are_held_to_them(self, api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
        edge = {"op": "upsert_edge", "src": 1, "dst": 2}
        refused = api.post("/events", json=[edge, edge | {"type": "sent"}])
        assert refused.status_code == 422
        assert [(error["index"], error["field"]) for error in refused.json()["errors"]] == [(1, "type")]
        assert api.post("/events", json=[edge]).status_code == 202
        api.put("/schema", json={"edge_types": {"sent": {}}})
        assert api.post("/events", json=[edge | {"type": "sent"}]).status_code == 202
        refused = api.post("/events", json=[edge])
        assert [(error["index"], error["field"]) for error in refused.json()["errors"]] == [(0, "type")]
        versions = [fields[b"v"] for _, fields in cast("Any", redis_client.xrange(keys.log))]
        assert versions == [b"1", b"2", b"2"], "a worker that knows no types stops at the first entry that has some"

    def test_a_direction_is_held_after_the_first_event(self, api: httpx.Client) -> None:
        api.put("/schema", json={"edge_types": {"sent": {}}})
        assert api.put("/schema", json={"edge_types": {"sent": {"directed": True}}}).status_code == 200
        api.post("/events", json=[{"op": "upsert_edge", "src": 1, "dst": 2, "type": "sent"}])
        refused = api.put("/schema", json={"edge_types": {"sent": {"directed": False}}})
        assert refused.status_code == 409
        assert refused.json()["detail"] == (
            "directed cannot change after the first event: edges of the type 'sent' are directed"
        )
        assert api.put("/schema", json={"edge_types": {"sent": {"directed": True, "lifetime": 3}}}).status_code == 200


class TestIdsOfEdges:
    def test_events_are_held_to_them(self, api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
        api.put("/schema", json={"edge_types": {"paid": {"ids": True}, "knows": {}}})
        edge = {"op": "upsert_edge", "src": 1, "dst": 2}
        paid = edge | {"type": "paid", "id": 5}
        gone = {"op": "remove_edge", "type": "paid", "id": 5}
        assert api.post("/events", json=[paid, gone, edge | {"type": "knows"}]).status_code == 202
        refused = api.post("/events", json=[edge | {"type": "paid"}, edge | {"type": "knows", "id": 5}])
        assert [(error["index"], error["field"]) for error in refused.json()["errors"]] == [(0, "id"), (1, "id")]
        versions = [fields[b"v"] for _, fields in cast("Any", redis_client.xrange(keys.log))]
        assert versions == [b"3", b"3"], "a worker that knows no ids stops at the first entry that has some"

    def test_they_stay(self, api: httpx.Client) -> None:
        api.put("/schema", json={"edge_types": {"paid": {"ids": True}}})
        refused = api.put("/schema", json={"edge_types": {"paid": {"lifetime": 3}}})
        assert_problem(refused, 409, "schema-conflict")
        assert refused.json()["detail"] == "edge_types.paid.ids is true, which stays"
        assert api.put("/schema", json={"edge_types": {"paid": {"lifetime": 3, "ids": True}}}).status_code == 200

    def test_edges_without_a_type_have_them_before_the_first_event_only(self, api: httpx.Client) -> None:
        api.post("/events", json=[{"op": "upsert_node", "id": 1}])
        refused = api.put("/schema", json={"edge_types": {"edge": {"ids": True}}})
        assert refused.json()["detail"] == "ids cannot change after the first event: edges that name no type have none"


class TestFeaturesOfEdges:
    def test_events_are_held_to_their_width(self, api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
        api.put("/schema", json={"edge_types": {"paid": {"feature_width": 2}, "knows": {}}})
        edge = {"op": "upsert_edge", "src": 1, "dst": 2, "type": "paid"}
        sparse = {"indices": [1], "values": [0.1]}
        assert api.post("/events", json=[edge | {"x": [0.1, 2]}, edge | {"x": sparse}, edge]).status_code == 202
        wrong = [
            edge | {"x": [1]},
            edge | {"type": "knows", "x": [1, 2]},
            edge | {"x": {"indices": [2], "values": [1]}},
        ]
        refused = api.post("/events", json=wrong)
        assert [(error["index"], error["field"]) for error in refused.json()["errors"]] == [
            (0, "x"),
            (1, "x"),
            (2, "x.indices"),
        ]
        *_, entry = LogReader(redis_client, keys).read("0-0", max_events=9)
        read = [event.x for event in entry.events if isinstance(event, UpsertEdge)]
        assert read == [[np.float32(0.1), 2.0], SparseFeatures([1], [float(np.float32(0.1))]), None]
        versions = [fields[b"v"] for _, fields in cast("Any", redis_client.xrange(keys.log))]
        assert versions == [b"3", b"3"]

    def test_the_width_stays(self, api: httpx.Client) -> None:
        api.put("/schema", json={"edge_types": {"paid": {"feature_width": 2}}})
        refused = api.put("/schema", json={"edge_types": {"paid": {"feature_width": 3}}})
        assert refused.json()["detail"] == "edge_types.paid.feature_width is 2, which stays"

    def test_edges_without_a_type_have_them_before_the_first_event_only(self, api: httpx.Client) -> None:
        api.post("/events", json=[{"op": "upsert_node", "id": 1}])
        assert api.put("/schema", json={"edge_types": {"edge": {"feature_width": 1}}}).status_code == 409


class TestTypesOfNodes:
    def test_they_have_widths_of_their_own(self, api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
        declared = {"account": {"feature_width": 2}, "device": {"feature_width": None}}
        found = api.put("/schema", json={"node_types": {"account": {"feature_width": 2}, "device": {}}}).json()
        assert found == EMPTY | {"node_types": declared}
        node = {"op": "upsert_node", "id": 1, "type": "account"}
        assert api.post("/events", json=[node | {"x": [1, 2]}, node | {"id": 2, "type": "device"}]).status_code == 202
        refused = api.post("/events", json=[node | {"x": [1, 2, 3]}, {"op": "upsert_node", "id": 3}])
        assert [(error["index"], error["field"]) for error in refused.json()["errors"]] == [(0, "x"), (1, "type")]
        assert api.get("/schema").json() == found
        versions = [fields[b"v"] for _, fields in cast("Any", redis_client.xrange(keys.log))]
        assert versions == [b"2", b"2"]

    def test_a_large_batch_is_held_to_them(self, api: httpx.Client) -> None:
        api.put("/schema", json={"node_types": {"account": {"feature_width": 2}}})
        node = {"op": "upsert_node", "type": "account", "x": {"indices": [0], "values": [1]}}
        batch = [node | {"id": number} for number in range(3_000)]
        assert api.post("/events", json=batch).status_code == 202
        refused = api.post("/events", json=[*batch, node | {"id": 1, "x": [1, 2, 3]}])
        assert [(error["index"], error["field"]) for error in refused.json()["errors"]] == [(3_000, "x")]

    @pytest.mark.parametrize(
        ("change", "detail"),
        [
            ({"feature_width": 3}, "feature_width: nodes have types, each with a feature_width of its own"),
            ({"node_types": {"account": {"feature_width": 3}}}, "node_types.account.feature_width is 2, which stays"),
        ],
    )
    def test_a_contradiction_is_refused(self, api: httpx.Client, change: dict[str, object], detail: str) -> None:
        api.put("/schema", json={"node_types": {"account": {"feature_width": 2}}})
        refused = api.put("/schema", json=change)
        assert (refused.status_code, refused.json()["detail"]) == (409, detail)
