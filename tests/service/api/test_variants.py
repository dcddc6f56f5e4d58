"""Two workers on one graph: readers ask either of them."""

from __future__ import annotations

from typing import Any

import httpx
import redis

from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from service.store.status import CostStatus, LeadStatus
from tests.service.api.serving import assert_problem
from tests.service.publications import publication, served_outcomes, worker_status


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
    assert api.get("/variants").json() == {"champion": "default", "variants": [], "promotions": []}
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


def compared(api: httpx.Client) -> dict[str, Any]:
    default, other = api.get("/variants").raise_for_status().json()["variants"]
    assert (default["name"], default["comparison"]) == ("default", None)
    found: dict[str, Any] = other["comparison"]
    return found


def test_a_challenger_is_compared_on_the_nodes_that_both_scored(
    api: httpx.Client, redis_client: redis.Redis, keys: Keys
) -> None:
    default, wide = started(redis_client, keys), started(redis_client, keys.of("wide"))
    assert compared(api) is None
    cost = CostStatus(cpu_s=3.0, events=6_000, cpu_share=0.5)
    default.write_status(worker_status(), b"", served_outcomes(600, 0.7, seed=1))
    wide.write_status(worker_status().model_copy(update={"cost": cost}), b"", served_outcomes(400, 0.9, seed=2))
    found, whole = compared(api), compared(api)["whole"]
    assert (whole["pairs"], whole["since"], whole["until"]) == (400, 1000, 1399)
    accuracy = whole["accuracy"]
    assert 0 < accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert whole["log_loss"]["value"] < whole["log_loss"]["high"] < 0
    assert whole["average_precision"] is None
    assert (found["metric"], found["outcome"], found["difference"]) == ("accuracy", "ahead", accuracy)
    assert [window["pairs"] for window in found["windows"]] == [100] * 4
    assert [variant["cost"] for variant in api.get("/variants").json()["variants"]] == [
        None,
        {"cpu_ms_per_event": 0.5, "cpu_share": 0.5},
    ]
    # Further nodes on which the challenger is no better; the metric that decides is the champion's.
    lead = LeadStatus(
        metric="log_loss",
        declared=True,
        lower_is_better=True,
        value=0.5,
        recent=0.5,
        baseline=0.7,
        baseline_recent=0.7,
        baseline_of="the shares of the classes",
    )
    wide.write_status(worker_status(), b"", served_outcomes(600, 0.3, seed=3)[400:])
    default.write_status(worker_status().model_copy(update={"lead": lead}), b"")
    later = compared(api)
    assert later["whole"]["pairs"] == 600
    assert later["whole"]["accuracy"]["value"] < accuracy["value"]
    assert (later["metric"], later["difference"]) == ("log_loss", later["whole"]["log_loss"])
    assert later["lower_is_better"]


def test_few_nodes_show_no_interval_and_so_nothing_clear(
    api: httpx.Client, redis_client: redis.Redis, keys: Keys
) -> None:
    default, wide = started(redis_client, keys), started(redis_client, keys.of("wide"))
    default.write_status(worker_status(), b"", served_outcomes(99, 0.0, seed=1))
    wide.write_status(worker_status(), b"", served_outcomes(99, 1.0, seed=1))
    found = compared(api)
    assert found["difference"] == {"value": 1.0, "low": None, "high": None}
    assert (found["outcome"], found["windows"]) == ("unclear", [])
    for champion, challenger, outcome in ((0.2, 0.9, "ahead"), (0.9, 0.2, "behind"), (0.8, 0.8, "unclear")):
        for writer, right in ((default, champion), (wide, challenger)):
            # As a worker does that begins with other students.
            writer.start()
            writer.forget_outcomes()
            writer.write_status(worker_status(), b"", served_outcomes(120, right, seed=int(10 * champion)))
        found = compared(api)
        assert (found["whole"]["pairs"], found["outcome"]) == (120, outcome)
