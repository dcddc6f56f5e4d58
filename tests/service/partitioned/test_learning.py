"""A worker with partitions that learns, as real processes: what it serves, and what it does after losses."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from olad_core.events import GraphSchema, UpsertEdge, UpsertNode
from service.store.keys import Keys
from tests.chaos.killed_ranks import LEARNING, NODES, complete, entries_of, some
from tests.chaos.workers import until
from tests.redis_server import RedisServer
from tests.service.api.serving import serving
from tests.service.entries import append
from tests.service.partitioned.groups import GroupOfRanks, group_of


def worker_of(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/status").json()["worker"] or {}
    return found


def labels(http: httpx.Client, nodes: Sequence[int | str], position: str) -> list[str | None]:
    wanted: dict[str, str | int] = {"min_position": position, "timeout_ms": 60_000}
    answer = http.post("/predict", json={"nodes": [str(node) for node in nodes]}, params=wanted)
    answer.raise_for_status()
    return [each["label"] for each in answer.json()["predictions"]]


def is_served(http: httpx.Client, group: GroupOfRanks, after: int = 0) -> bool:
    assert group.process.poll() is None, group.text()
    served = worker_of(http).get("served")
    return served is not None and served["version"] > after


@pytest.mark.timeout(600)
def test_ranks_learn_serve_and_go_on_after_a_loss(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    entries = entries_of(3)
    with (
        serving(redis_server.url, keys.graph) as http,
        group_of(2, redis_server.url, keys, tmp_path, **LEARNING, checkpoint_interval_s=0.5) as pair,
    ):
        append(redis_client, keys, some(entries, 6))
        until(lambda: is_served(http, pair), 120)
        # A node that has no label is predicted at once, in the version that is served.
        new = [UpsertNode("a", [-1.5, 0.0]), UpsertNode("b", [1.5, 0.0])]
        edges = [UpsertEdge("a", str(2 * node)) for node in range(9)]
        edges += [UpsertEdge("b", str(2 * node + 1)) for node in range(9)]
        append(redis_client, keys, [[*new, *edges]], first=7)
        assert labels(http, ["a", "b"], "7-0") == ["even", "odd"]
        until(lambda: bool(complete(tmp_path, keys)), 60)
        pair.strike(1, signal.SIGKILL)
        append(redis_client, keys, some(entries, 4), first=8)
        pair.wait_until_visible(redis_client, "11-0")
        until(lambda: worker_of(http)["learning"]["steps"] > 0, 60)
        found = labels(http, range(100, 200), "11-0")
        assert sum(name == ("even", "odd")[node % 2] for node, name in zip(range(100, 200), found, strict=True)) > 80
        until(lambda: worker_of(http)["graph"]["nodes"] == 10 * NODES + 2, 60)
        assert worker_of(http)["partitions"] == 2
        students = http.get("/students").json()["students"]
        assert [each["name"] for each in students] == ["gcn", "sage"]
        changed = http.get("/nodes", params={"order": "changed", "labelled": "true", "min_position": "11-0"}).json()
        assert {"a", "b"} < {each["node"] for each in changed["nodes"]}
        assert pair.terminate() == 0, pair.text()


@pytest.mark.timeout(600)
def test_another_number_of_ranks_goes_on_with_the_same_students(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    entries, given = entries_of(5), {**LEARNING, "steps_per_entry": 2}
    # More classes than a row holds.
    schema = GraphSchema(classes=("even", "odd", *(f"none {number}" for number in range(38))))
    redis_client.xadd(keys.log, {"schema": schema.model_dump_json()}, id="0-1")
    append(redis_client, keys, some(entries, 8))
    with group_of(2, redis_server.url, keys, tmp_path, **given) as pair:
        pair.wait_until_visible(redis_client, "8-0")
        assert pair.terminate() == 0, pair.text()
    # Fixed weights are those of what was served.
    with serving(redis_server.url, keys.graph) as http:
        append(redis_client, keys, some(entries, 1), first=9)
        with group_of(1, redis_server.url, keys, tmp_path, **given) as alone:
            alone.wait_until_visible(redis_client, "9-0")
            until(lambda: worker_of(http).get("position") == "9-0", 60)
            assert worker_of(http)["partitions"] == 1
            assert worker_of(http)["learning"]["steps"] == 2 * 9
            alone.terminate()
        append(redis_client, keys, some(entries, 1), first=10)
        with group_of(2, redis_server.url, keys, tmp_path, **{**given, "weights": "fixed"}) as fixed:
            fixed.wait_until_visible(redis_client, "10-0")
            until(lambda: worker_of(http).get("position") == "10-0", 60)
            assert worker_of(http)["learning"]["steps"] == 0
            assert len(labels(http, range(200), "10-0")) == 200
            nodes = ["0", "1", "2", "nobody"]
            short, every = (
                http.post("/predict", json={"nodes": nodes}, params={"top": top}).json()["predictions"]
                for top in ("32", "all")
            )
            for few, row in zip(short[:3], every[:3], strict=True):
                assert len(row["probabilities"]) == 40
                assert few["probabilities"].items() <= row["probabilities"].items()
                assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
            assert every[3]["label"] is None
