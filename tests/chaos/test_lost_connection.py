"""A publication that Redis does not take at once: what the entry is owed after it is not forgotten."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import redis

from service.store.keys import Keys
from service.worker.checkpoint import newest_checkpoint
from tests.chaos.faults import Fault
from tests.chaos.workers import ForkedWorker, Nursery, metric, reported
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries


def test_steps_owed_to_an_entry_survive_a_publication_that_fails(
    redis_server: RedisServer, redis_client: redis.Redis, nursery: Nursery, keys: Keys, tmp_path: Path
) -> None:
    states: list[Any] = []
    # The first publication is that of the start, the n-th after it that of the n-th entry.
    for fault in (None, Fault(point="connection", number=5, part=0.0)):
        shutil.rmtree(tmp_path / "checkpoints", ignore_errors=True)
        redis_client.delete(*_all_keys(redis_client, keys))
        worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path, steps_per_entry=3, checkpoint_interval_s=3600)
        worker.start(fault)
        try:
            append(redis_client, keys, random_entries(8, seed=4))
            worker.wait_until_visible(redis_client, "8-0")
            assert worker.logged("Redis cannot be used, trying again") == (fault is not None)
            assert worker.terminate() == 0, worker.log.read_text()
        finally:
            worker.close()
        checkpoint, _ = newest_checkpoint(tmp_path / "checkpoints" / keys.graph)
        assert checkpoint is not None
        assert checkpoint.values["position"] == "8-0"
        states.append((checkpoint.values, {name: t.numpy().tobytes() for name, t in checkpoint.tensors.items()}))
    assert states[0] == states[1]


def test_a_publication_that_gets_through_at_the_second_attempt_counts(
    redis_server: RedisServer, redis_client: redis.Redis, nursery: Nursery, keys: Keys, tmp_path: Path
) -> None:
    append(redis_client, keys, random_entries(12, seed=4))
    worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path, steps_per_entry=3)
    worker.run_until(redis_client, "12-0")
    assert redis_client.hexists(keys.served, "version")
    rows = []
    for fault in (None, Fault(point="connection", number=1, part=0.0)):
        redis_client.delete(keys.status)
        worker.start(fault)
        try:
            worker.wait_until_visible(redis_client, "12-0")
            assert reported(redis_client, keys).position == "12-0"
            rows.append(metric(redis_client, keys, "olad_worker_published_rows_total"))
            assert worker.terminate() == 0
        finally:
            worker.close()
    # A start publishes everything; begun again, it does so in place of what did not get through.
    assert rows[0] > 0
    assert rows[1] == rows[0]


def _all_keys(client: redis.Redis, keys: Keys) -> list[bytes]:
    stored: Any = client.keys(keys.log.removesuffix("log") + "*")
    return [b"none", *stored]
