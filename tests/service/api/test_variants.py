"""Two workers on one graph: readers ask either of them."""

from __future__ import annotations

import httpx
import redis

from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from tests.service.api.serving import assert_problem
from tests.service.publications import publication, worker_status


def started(client: redis.Redis, keys: Keys) -> PredictionWriter:
    LogReader(client, keys).hold()
    writer = PredictionWriter(client, keys)
    writer.start()
    return writer


def test_each_variant_answers_for_itself(api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
    default, wide = started(redis_client, keys), started(redis_client, keys.of("wide"))
    default.publish(publication("2-0", {"n": (0.9, 0.1)}, applied=2))
    wide.publish(publication("1-0", {"n": (0.2, 0.8)}, applied=1, version=4))
    for query, label, position in (
        ("", "a", "2-0"),
        ("?variant=default", "a", "2-0"),
        ("?variant=wide", "b", "1-0"),
        ("?variant=wide&min_position=1-0", "b", "1-0"),
    ):
        one = api.get(f"/predict/n{query}").raise_for_status().json()
        (many,) = api.post(f"/predict{query}", json={"nodes": ["n"]}).raise_for_status().json()["predictions"]
        for found in (one, many):
            assert (found["label"], found["position"]) == (label, position)
    early = api.get("/predict/n?variant=wide&min_position=2-0&timeout_ms=10")
    assert assert_problem(early, 504, "position-not-reached")["position"] == "1-0"
    wide.publish(publication("2-0", {"n": (0.1, 0.9)}, applied=2, version=4))
    assert api.get("/predict/n?variant=wide&min_position=2-0").json()["position"] == "2-0"


def test_what_is_no_variant_is_named(api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
    started(redis_client, keys)
    assert_problem(api.get("/predict/n?variant=wide"), 404, "unknown-variant")
    assert_problem(api.post("/predict?variant=wide", json={"nodes": []}), 404, "unknown-variant")
    assert_problem(api.get("/predict/n?variant=a:b"), 422, "invalid-request")
    started(redis_client, keys.of("wide"))
    assert_problem(api.get("/predict/n?variant=wide"), 503, "no-model")


def test_what_is_missing_is_that_of_the_variant(api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
    default, wide = started(redis_client, keys), started(redis_client, keys.of("wide"))
    default.write_status(worker_status(), b"")
    wide.write_status(worker_status(missing=("labels of two classes",)), b"")
    problem = assert_problem(api.get("/predict/n?variant=wide"), 503, "no-model")
    assert problem["missing"] == ["labels of two classes"]


def test_they_are_listed_side_by_side(api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
    assert api.get("/variants").json() == {"variants": []}
    wide, default = started(redis_client, keys.of("wide")), started(redis_client, keys)
    default.publish(publication("2-0", {"n": (0.9, 0.1)}, applied=2))
    wide.heartbeat(60_000)
    wide.write_status(worker_status(), b"")
    LogReader(redis_client, keys).trim_before("2-0")
    first, second = api.get("/variants").json()["variants"]
    assert (first["name"], first["alive"], first["position"], first["needs_log_after"]) == (
        "default",
        False,
        "2-0",
        "2-0",
    )
    assert (first["version"], first["score"]) == (None, None)
    assert (second["name"], second["alive"], second["position"], second["needs_log_after"]) == (
        "wide",
        True,
        None,
        "0-0",
    )
    assert second["score"] is not None
