"""Boosted trees from the labels to the answers, in a real worker that is killed and started again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import redis

from olad_core.events import Event
from service.store.keys import Keys
from tests.chaos.workers import ForkedWorker, Nursery, metric, until
from tests.olad_core.streams import arriving, labels_of, two_communities
from tests.redis_server import RedisServer
from tests.service.api.serving import serving

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def api(redis_server: RedisServer, graph: str) -> Iterator[httpx.Client]:
    with serving(redis_server.url, graph) as client:
        yield client


@pytest.fixture
def worker(redis_server: RedisServer, nursery: Nursery, keys: Keys, tmp_path: Path) -> Iterator[ForkedWorker]:
    settings: dict[str, Any] = {"serve": "group", "students": "gcn,sage", "checkpoint_interval_s": 0.5}
    process = ForkedWorker(nursery, redis_server.url, keys, tmp_path, **settings)
    process.start()
    yield process
    process.close()


def post(api: httpx.Client, events: list[Event]) -> str:
    position: str = api.post("/events", json=msgspec.to_builtins(events)).raise_for_status().json()["position"]
    return position


def trees_of(api: httpx.Client) -> dict[str, Any]:
    combined = api.get("/students").json()["combined"] or {}
    return combined.get("trees") or {"trees": 0, "labels": 0, "served": False}


def test_they_are_grown_served_and_outlive_a_kill(
    api: httpx.Client, worker: ForkedWorker, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    post(api, two_communities(80))
    until(lambda: trees_of(api)["served"], 120)
    trees = trees_of(api)
    assert (trees["trees"], trees["labels"]) == (160, 80)
    assert api.get("/students").json()["combined"]["exponents"].keys() == {"gcn", "sage", "trees", "linear"}
    assert api.get("/predict/1").json()["student"] == "group"
    assert metric(redis_client, keys, "olad_worker_trees") == 160
    # Until a checkpoint is written that holds them.
    checkpoints = tmp_path / "checkpoints"
    known = set(checkpoints.rglob("manifest.json"))
    post(api, arriving(range(1000, 1010)))
    until(lambda: set(checkpoints.rglob("manifest.json")) - known, 120)
    worker.kill()
    redis_client.delete(keys.status)
    worker.start()
    until(lambda: trees_of(api)["served"], 120)
    answer = api.get("/predict/1001", params={"min_position": post(api, labels_of(range(1000, 1010)))})
    assert answer.json()["student"] == "group"
    # New labels lead to new trees.
    for first in range(2000, 2060, 20):
        post(api, arriving(range(first, first + 20)))
        post(api, labels_of(range(first, first + 20)))
    until(lambda: trees_of(api)["labels"] > 90, 120)
    assert trees_of(api)["score"]["scored"] > 0
    assert worker.terminate() == 0, worker.log.read_text()
    assert "Traceback" not in worker.log.read_text()
