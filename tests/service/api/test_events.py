from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from olad_core.events import LabelNode, RemoveNode, UpsertEdge, UpsertNode
from olad_core.serving.publication import RejectedEvent
from service.api_keys import create_key
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.positions import parse_position
from service.store.prediction_writer import PredictionWriter
from tests.chaos.small_disk import small_disk, why_not
from tests.chaos.workers import until
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving
from tests.service.publications import publication, worker_status

EDGE = {"op": "upsert_edge", "src": 1, "dst": "b"}
NDJSON = {"content-type": "application/x-ndjson"}
JSON = {"content-type": "application/json"}


@pytest.fixture
def reader(redis_client: redis.Redis, keys: Keys) -> LogReader:
    return LogReader(redis_client, keys)


def test_a_batch_is_one_entry(api: httpx.Client, reader: LogReader) -> None:
    events = [EDGE, {"op": "upsert_node", "id": "ü/ñ", "x": [1, 2]}, {"op": "label", "id": 7, "label": 3}]
    answer = api.post("/events", json=events)
    assert answer.status_code == 202
    (entry,) = reader.read("0-0", max_events=100)
    assert answer.json() == {"position": entry.position, "accepted": 3}
    assert entry.events == [UpsertEdge("1", "b"), UpsertNode("ü/ñ", x=[1.0, 2.0]), LabelNode("7", "3")]


def test_positions_grow(api: httpx.Client) -> None:
    positions = [api.post("/events", json=[EDGE]).json()["position"] for _ in range(3)]
    assert positions == sorted(positions, key=parse_position)
    assert len(set(positions)) == 3


def test_ndjson(api: httpx.Client, reader: LogReader) -> None:
    body = b'{"op":"remove_node","id":1}\n\n{"op":"remove_node","id":"\xc3\xbc"}\r\n'
    answer = api.post("/events", content=body, headers=NDJSON)
    assert answer.json()["accepted"] == 2
    assert reader.read("0-0", max_events=9)[0].events == [RemoveNode("1"), RemoveNode("ü")]


def test_parameters_and_case_of_the_content_type(api: httpx.Client) -> None:
    for content_type in ("application/json; charset=utf-8", "APPLICATION/JSON"):
        answer = api.post("/events", content=json.dumps([EDGE]), headers={"content-type": content_type})
        assert answer.status_code == 202


class TestRefusals:
    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> Iterator[None]:
        yield
        assert not redis_client.exists(keys.log, keys.appended, keys.schema)

    def test_every_bad_event_is_named(self, api: httpx.Client) -> None:
        events = [EDGE, {"op": "upsert_edge", "src": 1}, EDGE, {"op": "upsert_node", "id": 1, "x": [0, "a"]}]
        body = assert_problem(api.post("/events", json=events), 422, "invalid-events")
        assert body["errors"] == [
            {"index": 1, "field": "dst", "message": "Object missing required field `dst`"},
            {"index": 3, "field": "x[1]", "message": "Expected `float`, got `str`"},
        ]
        assert body["total_errors"] == 2
        assert body["detail"] == "index 1 field dst: Object missing required field `dst` (2 errors in all)"

    def test_of_many_errors_a_hundred_are_listed(self, api: httpx.Client) -> None:
        body = assert_problem(api.post("/events", json=[{}] * 250), 422, "invalid-events")
        assert isinstance(body["errors"], list)
        assert len(body["errors"]) == 100
        assert body["total_errors"] == 250

    def test_bodies_that_are_no_batch(self, api: httpx.Client) -> None:
        no_utf8 = b'[{"op":"remove_node","id":"\xff"}]'
        for body in (b"", b"{}", b"[", b"[]", b"nonsense", b"\xff", b"[" * 100_000, no_utf8):
            assert_problem(api.post("/events", content=body, headers=JSON), 422, "invalid-events")
            assert_problem(api.post("/events", content=body, headers=NDJSON), 422, "invalid-events")

    def test_where_json_is_malformed_is_said(self, api: httpx.Client) -> None:
        body = assert_problem(api.post("/events", content=b"{bad", headers=JSON), 422, "invalid-events")
        assert "JSON is malformed" in str(body["detail"])
        assert "(byte 1)" in str(body["detail"])

    def test_sparse_features_without_a_width(self, api: httpx.Client) -> None:
        event = {"op": "upsert_node", "id": 1, "x": {"indices": [1], "values": [1.0]}}
        body = assert_problem(api.post("/events", json=[event]), 422, "invalid-events")
        assert "PUT /schema" in str(body["detail"])

    def test_too_many_events(self, api: httpx.Client) -> None:
        body = assert_problem(api.post("/events", json=[EDGE] * 10_001), 413, "too-large")
        assert "more than 10,000" in str(body["detail"])
        lines = b'{"op":"remove_node","id":1}\n' * 10_001
        assert_problem(api.post("/events", content=lines, headers=NDJSON), 413, "too-large")

    def test_too_many_bytes(self, api: httpx.Client) -> None:
        body = b" " * (16 * 2**20 + 1)
        assert_problem(api.post("/events", content=body, headers=JSON), 413, "too-large")
        # Without a length in front, the stream itself is counted.
        parts = (body[first : first + 2**20] for first in range(0, len(body), 2**20))
        assert_problem(api.post("/events", content=parts, headers=JSON), 413, "too-large")

    def test_other_content_types(self, api: httpx.Client) -> None:
        for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
            answer = api.post("/events", content=b"[]", headers={"content-type": content_type})
            assert_problem(answer, 415, "unsupported-media-type")
            assert answer.headers["accept-post"] == "application/json, application/x-ndjson"

    def test_compressed_bodies(self, api: httpx.Client) -> None:
        answer = api.post("/events", content=b"x", headers={**JSON, "content-encoding": "gzip"})
        assert_problem(answer, 415, "unsupported-media-type")

    def test_an_idempotency_key_that_is_too_long(self, api: httpx.Client) -> None:
        answer = api.post("/events", json=[EDGE], headers={"idempotency-key": "k" * 256})
        body = assert_problem(answer, 422, "invalid-request")
        assert body["errors"] == [
            {"field": "Idempotency-Key", "message": "String should have at most 255 characters"},
        ]


def test_limits_are_inclusive(api: httpx.Client, reader: LogReader) -> None:
    body = json.dumps([EDGE] * 10_000).encode()
    answer = api.post("/events", content=body + b" " * (16 * 2**20 - len(body)), headers=JSON)
    assert answer.json()["accepted"] == 10_000
    assert len(reader.read("0-0", max_events=1)[0].events) == 10_000


class TestIdempotency:
    def test_the_same_key_answers_the_same_and_is_applied_once(self, api: httpx.Client, reader: LogReader) -> None:
        headers = {b"idempotency-key": "ключ".encode()}
        first = api.post("/events", json=[EDGE, EDGE], headers=headers)
        again = api.post("/events", json=[EDGE, EDGE], headers=headers)
        assert (again.status_code, again.json()) == (202, first.json())
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert len(reader.read("0-0", max_events=99)) == 1

    def test_each_api_key_has_its_own(self, redis_server: RedisServer, graph: str, tmp_path: Path) -> None:
        file = tmp_path / "keys.json"
        one, two = (create_key(file, name, ["write"]) for name in ("one", "two"))
        with serving(redis_server.url, graph, api_keys_file=file) as api:
            positions = [
                api.post(
                    "/events", json=[EDGE], headers={"idempotency-key": "k", "authorization": f"Bearer {key}"}
                ).json()["position"]
                for key in (one, two, one, two)
            ]
        assert positions[:2] == positions[2:]
        assert positions[0] != positions[1]

    def test_at_the_same_time(self, api: httpx.Client, reader: LogReader) -> None:
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(lambda _: api.post("/events", json=[EDGE], headers={"idempotency-key": "k"}), range(24))
            )
        assert len({answer.json()["position"] for answer in answers}) == 1
        assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
        assert len(reader.read("0-0", max_events=99)) == 1

    def test_another_body_is_refused(self, api: httpx.Client) -> None:
        position = api.post("/events", json=[EDGE], headers={"idempotency-key": "k"}).json()["position"]
        answer = api.post("/events", json=[EDGE, EDGE], headers={"idempotency-key": "k"})
        body = assert_problem(answer, 422, "idempotency-key-reused")
        assert body["position"] == position


def test_a_held_width_refuses_another(api: httpx.Client, redis_server: RedisServer, graph: str) -> None:
    assert api.post("/events", json=[{"op": "upsert_node", "id": 1, "x": [1, 2, 3]}]).status_code == 202
    with serving(redis_server.url, graph) as other:
        for client in (api, other):
            answer = client.post("/events", json=[EDGE, {"op": "upsert_node", "id": 1, "x": [1, 2]}])
            body = assert_problem(answer, 422, "invalid-events")
            assert body["errors"] == [
                {"index": 1, "field": "x", "message": "2 features where this graph's nodes have 3"}
            ]
    sparse = {"op": "upsert_node", "id": 1, "x": {"indices": [2], "values": [1.0]}}
    assert api.post("/events", json=[sparse]).status_code == 202


def test_a_full_redis_refuses_events_with_429(own_redis_server: RedisServer, graph: str) -> None:
    with own_redis_server.client() as client, serving(own_redis_server.url, graph) as api:
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", int(used * 1.05))
        answer = api.post("/events", json=[EDGE])
        assert_problem(answer, 429, "overloaded")
        assert int(answer.headers["retry-after"]) > 0
    with own_redis_server.client() as client, serving(own_redis_server.url, graph) as api:
        client.config_set("maxmemory", 0)
        assert api.post("/events", json=[EDGE]).status_code == 202


class TestOverload:
    def test_too_many_waiting_events_are_429_until_the_worker_has_caught_up(
        self, redis_server: RedisServer, writer: PredictionWriter, graph: str
    ) -> None:
        writer.write_status(worker_status(), b"")
        with serving(redis_server.url, graph, max_behind=29) as api:
            assert api.post("/events", json=[EDGE] * 60).status_code == 202
            until(lambda: api.post("/events", json=[EDGE]).status_code == 429)
            answer = api.post("/events", json=[EDGE])
            assert "events wait to be applied, 29 may" in str(assert_problem(answer, 429, "overloaded")["detail"])
            # The worker reports ten events a second, and thirty-one are too many at least.
            assert 4 <= int(answer.headers["retry-after"]) <= 60
            writer.publish(publication("1-0", applied=1_000))
            until(lambda: api.post("/events", json=[EDGE]).status_code == 202)

    def test_a_full_disk_of_the_worker_is_429(
        self, redis_server: RedisServer, writer: PredictionWriter, graph: str
    ) -> None:
        writer.write_status(worker_status().model_copy(update={"disk_free": 99_999_999}), b"")
        with serving(redis_server.url, graph) as api:
            answer = api.post("/events", json=[EDGE])
            assert "99,999,999 bytes are free" in str(assert_problem(answer, 429, "overloaded")["detail"])
        with serving(redis_server.url, graph, min_disk_free_mb=99) as api:
            assert api.post("/events", json=[EDGE]).status_code == 202

    def test_a_redis_that_may_not_write_is_503(self, own_redis_server: RedisServer, graph: str) -> None:
        with own_redis_server.client() as client, serving(own_redis_server.url, graph) as api:
            client.config_set("min-replicas-to-write", 1)
            answer = api.post("/events", json=[EDGE])
            assert "Nothing was written" in str(assert_problem(answer, 503, "redis-unavailable")["detail"])
            assert int(answer.headers["retry-after"]) > 0

    @pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
    def test_a_redis_whose_disk_is_full_says_what_to_do_and_takes_events_again_when_there_is_room(
        self, graph: str
    ) -> None:
        with (
            contextlib.closing(RedisServer()) as server,
            small_disk(server.directory) as disk,
            serving(server.url, graph) as api,
        ):
            server.start()
            accepted = [api.post("/events", json=[EDGE]).json()["position"]]
            disk.fill()
            refused = None
            while refused is None:
                answer = api.post("/events", json=[EDGE])
                if answer.status_code == 202:
                    accepted.append(answer.json()["position"])
                else:
                    refused = assert_problem(answer, 503, "redis-unavailable")
            assert "free space where Redis keeps its files" in str(refused["detail"])
            assert int(answer.headers["retry-after"]) > 0
            disk.free()
            while (answer := api.post("/events", json=[EDGE])).status_code != 202:
                pass
            accepted.append(answer.json()["position"])
            server.kill()
            server.start()
            with server.client() as client:
                stored: Any = client.xrange(Keys(graph).log)
            assert [position.decode() for position, _ in stored] == accepted
            client.config_set("min-replicas-to-write", 0)
            assert api.post("/events", json=[EDGE]).status_code == 202


class TestRejected:
    def test_pages_newest_first(self, api: httpx.Client, writer: PredictionWriter) -> None:
        rejections = tuple(
            RejectedEvent("1-0", index, "remove_edge", "unknown-edge", f"no edge 'ü' {index}") for index in range(5)
        )
        writer.publish(publication("1-0", version=None, rejected=rejections))
        seen, after = [], None
        for _ in range(3):
            page = api.get("/events/rejected", params={"limit": 2} | ({"after": after} if after else {})).json()
            assert (page["total"], page["oldest"], page["rejected_events"]) == (5, "1-0", None)
            seen += page["rejected"]
            after = page["next"]
        assert after is None
        assert [item["index"] for item in seen] == [4, 3, 2, 1, 0]
        assert seen[0] == {
            "position": "1-0",
            "index": 4,
            "op": "remove_edge",
            "reason": "unknown-edge",
            "detail": "no edge 'ü' 4",
            "content": None,
        }

    def test_none(self, api: httpx.Client) -> None:
        assert api.get("/events/rejected").json() == {
            "rejected": [],
            "next": None,
            "total": 0,
            "oldest": None,
            "rejected_events": None,
        }

    def test_bad_parameters(self, api: httpx.Client) -> None:
        for query in ("limit=0", "limit=1001", "limit=x", "after=x"):
            body = assert_problem(api.get(f"/events/rejected?{query}"), 422, "invalid-request")
            assert isinstance(body["errors"], list)
            assert body["errors"][0]["field"] == query.partition("=")[0]
