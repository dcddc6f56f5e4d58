"""The worker as a real process: Redis coming and going, an orderly end. Recovery is proved in tests/chaos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from olad_core.events import Event
from service.store.keys import Keys
from service.store.status import DecisionStatus, WorkerStatus
from service.worker.checkpoint import list_checkpoints, read_checkpoint
from tests.chaos.workers import ForkedWorker, Nursery, until
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries
from tests.service.metric_values import metric_value

ENTRIES = 40
LAST = f"{ENTRIES}-0"


@pytest.fixture(scope="module")
def entries() -> list[list[Event]]:
    return random_entries(ENTRIES, seed=5)


@pytest.fixture
def worker(redis_server: RedisServer, nursery: Nursery, keys: Keys, tmp_path: Path) -> Iterator[ForkedWorker]:
    process = ForkedWorker(nursery, redis_server.url, keys, tmp_path, steps_per_entry=3, checkpoint_interval_s=0.2)
    yield process
    process.close()


def test_redis_restarted_in_the_middle_loses_nothing_and_needs_no_hand(
    own_redis_server: RedisServer, nursery: Nursery, keys: Keys, tmp_path: Path, entries: list[list[Event]]
) -> None:
    worker = ForkedWorker(nursery, own_redis_server.url, keys, tmp_path)
    try:
        worker.start()
        with own_redis_server.client() as client:
            append(client, keys, entries[:20])
            worker.wait_until_visible(client, "20-0")
        own_redis_server.stop()
        own_redis_server.start()
        with own_redis_server.client() as client:
            append(client, keys, entries[20:], first=21)
            worker.wait_until_visible(client, LAST)
            applied: Any = client.hget(keys.served, "applied")
        assert int(applied) == sum(map(len, entries))
    finally:
        worker.close()


def test_decisions_are_reported_counted_and_logged(
    worker: ForkedWorker, redis_client: redis.Redis, keys: Keys, entries: list[list[Event]]
) -> None:
    worker.start()
    append(redis_client, keys, entries)
    worker.wait_until_visible(redis_client, LAST)
    started: list[DecisionStatus] = []
    while not started:
        report: Any = redis_client.get(keys.status)
        decisions = WorkerStatus.model_validate_json(report).decisions if report else ()
        started = [decision for decision in decisions if decision.kind == "first-version"]
    (first,) = started
    assert first.version == 1
    metrics: Any = redis_client.get(keys.metrics)
    labels = {"kind": "first-version", "graph": keys.graph, "variant": "default"}
    assert metric_value(metrics.decode(), "olad_worker_decisions_total", **labels) == 1
    worker.terminate()
    assert first.reason in worker.log.read_text()


def test_the_log_is_trimmed_only_behind_the_oldest_kept_checkpoint(
    redis_server: RedisServer,
    redis_client: redis.Redis,
    nursery: Nursery,
    keys: Keys,
    tmp_path: Path,
    entries: list[list[Event]],
) -> None:
    worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path, checkpoint_interval_s=0.05, checkpoints_kept=2)
    try:
        worker.start()
        append(redis_client, keys, entries)
        worker.wait_until_visible(redis_client, LAST)
        assert worker.terminate() == 0
    finally:
        worker.close()
    kept = list_checkpoints(tmp_path / "checkpoints" / keys.graph)
    assert len(kept) == 2
    oldest, newest = (read_checkpoint(path).values["position"] for path in kept)
    assert newest == LAST
    log: Any = redis_client.xrange(keys.log)
    positions = [position.decode() for position, _ in log]
    assert positions == [f"{number}-0" for number in range(int(str(oldest).split("-")[0]) + 1, ENTRIES + 1)]


def test_it_rests_when_nothing_is_left_to_learn_and_an_entry_ends_the_rest(
    redis_server: RedisServer,
    redis_client: redis.Redis,
    nursery: Nursery,
    keys: Keys,
    tmp_path: Path,
    entries: list[list[Event]],
) -> None:
    checkpoints = tmp_path / "checkpoints" / keys.graph
    # With so high a target every step has its full size, and few are enough.
    settings = {"students": "gcn", "freshness_target_ms": 5000, "checkpoint_interval_s": 0.1, "checkpoints_kept": 5}
    worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path, **settings)

    def status() -> WorkerStatus:
        report: Any = redis_client.get(keys.status)
        return WorkerStatus.model_validate_json(report)

    def reports_later() -> WorkerStatus:
        earlier = status().updated_at
        until(lambda: status().updated_at > earlier + 3)
        return status()

    try:
        worker.start()
        append(redis_client, keys, entries[:20])
        worker.wait_until_visible(redis_client, "20-0")
        until(lambda: redis_client.exists(keys.status))
        until(lambda: status().learning.state == "resting", timeout_s=300)
        rested = reports_later()
        assert rested.served is not None
        written = list_checkpoints(checkpoints)
        later = reports_later()
        assert (later.served, later.learning) == (rested.served, rested.learning)
        assert redis_client.exists(keys.heartbeat)
        assert list_checkpoints(checkpoints) == written, "the same state need not be written again"
        assert worker.terminate() == 0
        worker.start()
        until(lambda: status().started_at > rested.started_at)
        assert reports_later().learning.steps == rested.learning.steps
        append(redis_client, keys, entries[20:21], first=21)
        worker.wait_until_visible(redis_client, "21-0")
        until(lambda: status().learning.steps > rested.learning.steps)
    finally:
        worker.close()
