"""A Redis that lost entries, and checkpoints that do not reach the log: recognised, and gone on from when asked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from olad_core.checkpoint import list_checkpoints, read_checkpoint, write_checkpoint
from service.exit_codes import REFUSES
from service.keys import Keys
from service.schema import parse_schema
from tests.chaos.workers import ForkedWorker, Nursery, until
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries

ENTRIES = random_entries(12, seed=3)


@pytest.fixture
def worker(redis_server: RedisServer, nursery: Nursery, keys: Keys, tmp_path: Path) -> Iterator[ForkedWorker]:
    process = ForkedWorker(nursery, redis_server.url, keys, tmp_path, checkpoints_kept=1)
    yield process
    process.close()


def accepting(nursery: Nursery, server: RedisServer, keys: Keys, data_dir: Path, position: str) -> ForkedWorker:
    return ForkedWorker(nursery, server.url, keys, data_dir, checkpoints_kept=1, accept_log_loss=position)


def run_until(worker: ForkedWorker, client: redis.Redis, position: str) -> None:
    worker.start()
    worker.wait_until_visible(client, position)
    assert worker.terminate() == 0, worker.log.read_text()


def forget(client: redis.Redis, keys: Keys) -> None:
    """What is left of a graph in a Redis that lost its files: nothing."""
    stored: Any = client.keys(keys.log.removesuffix("log") + "*")
    client.delete(*stored)


def test_a_log_trimmed_before_the_first_entry_it_is_read_from_is_refused(
    worker: ForkedWorker, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    append(redis_client, keys, ENTRIES[:3])
    run_until(worker, redis_client, "3-0")
    shutil.rmtree(tmp_path / "checkpoints")
    append(redis_client, keys, ENTRIES[3:5], first=4)
    worker.start()
    assert worker.wait() == REFUSES
    assert worker.said("the log is trimmed up to 3-0")
    assert worker.said("OLAD_ACCEPT_LOG_LOSS=0-0")


def test_a_redis_that_lost_the_last_entries_is_recognised_though_newer_ones_came(
    worker: ForkedWorker,
    nursery: Nursery,
    redis_server: RedisServer,
    redis_client: redis.Redis,
    keys: Keys,
    tmp_path: Path,
) -> None:
    append(redis_client, keys, ENTRIES[:3])
    run_until(worker, redis_client, "3-0")
    # The file of a Redis that went down before it was written to the end: entry 3 never was, 4 came after.
    forget(redis_client, keys)
    append(redis_client, keys, ENTRIES[:2])
    append(redis_client, keys, ENTRIES[3:4], first=4)
    worker.start()
    assert worker.wait() == REFUSES
    assert worker.said("Redis has lost entries")
    assert worker.said("OLAD_ACCEPT_LOG_LOSS=3-0")

    another = accepting(nursery, redis_server, keys, tmp_path, "2-0")
    another.start()
    assert another.wait() == REFUSES

    told = accepting(nursery, redis_server, keys, tmp_path, "3-0")
    run_until(told, redis_client, "4-0")
    assert told.said("going on without entries that are lost")
    applied, appended = redis_client.hget(keys.served, "applied"), redis_client.get(keys.appended)
    assert applied == appended == str(sum(map(len, ENTRIES[:4]))).encode()


def test_an_empty_redis_goes_on_from_the_checkpoint_when_asked(
    worker: ForkedWorker,
    nursery: Nursery,
    redis_server: RedisServer,
    redis_client: redis.Redis,
    keys: Keys,
    tmp_path: Path,
) -> None:
    append(redis_client, keys, ENTRIES[:3])
    run_until(worker, redis_client, "3-0")
    forget(redis_client, keys)
    run_until(accepting(nursery, redis_server, keys, tmp_path, "3-0"), redis_client, "3-0")
    held = parse_schema(redis_client.get(keys.schema) or b"")  # type: ignore[arg-type]
    assert held.feature_width_held
    assert set(held.classes) == {"class 0", "class 1", "class 2"}
    with pytest.raises(redis.ResponseError, match="equal or smaller"):
        append(redis_client, keys, ENTRIES[3:4], first=3)
    append(redis_client, keys, ENTRIES[3:4], first=4)
    run_until(worker, redis_client, "4-0")


def test_a_redis_emptied_under_a_running_worker_ends_it(
    worker: ForkedWorker, redis_client: redis.Redis, keys: Keys
) -> None:
    append(redis_client, keys, ENTRIES[:3])
    worker.start()
    worker.wait_until_visible(redis_client, "3-0")
    forget(redis_client, keys)
    assert worker.wait() == REFUSES
    assert worker.said("the worker cannot go on")


def test_a_checkpoint_of_another_release_is_refused(
    worker: ForkedWorker, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    append(redis_client, keys, ENTRIES[:3])
    run_until(worker, redis_client, "3-0")
    (path,) = list_checkpoints(tmp_path / "checkpoints" / keys.graph)
    (path / "manifest.json").write_text('{"format": 999}')
    worker.start()
    assert worker.wait() == REFUSES
    assert worker.said("has format 999")


def test_a_checkpoint_made_with_other_settings_is_refused_with_what_to_set(
    worker: ForkedWorker,
    nursery: Nursery,
    redis_server: RedisServer,
    redis_client: redis.Redis,
    keys: Keys,
    tmp_path: Path,
) -> None:
    append(redis_client, keys, ENTRIES[:3])
    run_until(worker, redis_client, "3-0")
    wider = ForkedWorker(nursery, redis_server.url, keys, tmp_path, width=16)
    wider.start()
    assert wider.wait() == REFUSES
    assert wider.said("width 8, the settings ask for 16: set OLAD_WIDTH to the former")
    assert not wider.said("Traceback")


def test_a_whole_checkpoint_that_cannot_be_read_is_refused(
    worker: ForkedWorker, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    append(redis_client, keys, ENTRIES[:3])
    run_until(worker, redis_client, "3-0")
    checkpoints = tmp_path / "checkpoints" / keys.graph
    found = read_checkpoint(list_checkpoints(checkpoints)[0])
    del found.tensors["graph/label"]
    write_checkpoint(checkpoints, found.tensors, found.values, keep=1)
    worker.start()
    assert worker.wait() == REFUSES
    assert worker.said("is whole, but this release cannot read it")


def test_a_stop_while_catching_up_is_orderly_and_takes_nothing_back(
    redis_server: RedisServer, nursery: Nursery, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path, steps_per_entry=30, checkpoint_interval_s=3600)
    append(redis_client, keys, ENTRIES)
    try:
        worker.start()
        worker.wait_until_visible(redis_client, "12-0")
        worker.kill()
        redis_client.delete(keys.heartbeat)
        worker.start()
        until(lambda: redis_client.exists(keys.heartbeat))
        assert worker.terminate() == 0, worker.log.read_text()
    finally:
        worker.close()
    assert not worker.said("caught up")
    assert redis_client.hget(keys.served, "position") == b"12-0"
    assert list_checkpoints(tmp_path / "checkpoints" / keys.graph) == []
