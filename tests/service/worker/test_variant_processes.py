"""Two real workers on one graph."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import redis

from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.worker.checkpoint import list_checkpoints
from tests.chaos.workers import ForkedWorker, Nursery, until
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries


def test_a_challenger_begins_beside_a_running_worker(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, nursery: Nursery, tmp_path: Path
) -> None:
    entries = random_entries(30, seed=5)
    append(redis_client, keys, entries[:20])
    common: dict[str, Any] = {"checkpoint_interval_s": 0.1, "checkpoints_kept": 1}
    default = ForkedWorker(nursery, redis_server.url, keys, tmp_path, **common)
    wide_keys = keys.of("wide")
    with contextlib.closing(default):
        default.start()
        default.wait_until_visible(redis_client, "20-0")
        # The beginning of the log is gone: a challenger cannot replay it.
        until(lambda: redis_client.get(keys.trimmed) == b"20-0")
        (tmp_path / "wide").mkdir()
        wide = ForkedWorker(nursery, redis_server.url, wide_keys, tmp_path, variant="wide", **common | {"width": 16})
        with contextlib.closing(wide):
            wide.start()
            wide.wait_until_visible(redis_client, "20-0")
            assert wide.logged("beginning on the graph of another variant")
            append(redis_client, keys, entries[20:], first=21)
            for worker in (default, wide):
                worker.wait_until_visible(redis_client, "30-0")
            until(lambda: redis_client.hget(keys.served, "version"))
            until(lambda: redis_client.hget(wide_keys.served, "version"))
            until(lambda: redis_client.get(keys.trimmed) == b"30-0")
            folder = tmp_path / "checkpoints"
            assert list_checkpoints(folder / keys.graph)
            assert list_checkpoints(folder / f"{keys.graph}@wide")
            assert wide.terminate() == 0
        # It is away, and what it needs stays.
        append(redis_client, keys, random_entries(1, seed=6), first=31)
        default.wait_until_visible(redis_client, "31-0")
        until(lambda: redis_client.hget(keys.needed, keys.variant) == b"31-0")
        LogReader(redis_client, wide_keys).require("30-0")
        with contextlib.closing(wide):
            wide.start()
            wide.wait_until_visible(redis_client, "31-0")
            assert wide.logged("restored")


def test_a_challenger_replays_the_archive_and_then_the_log(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, nursery: Nursery, tmp_path: Path
) -> None:
    entries = random_entries(30, seed=5)
    append(redis_client, keys, entries[:20])
    archive = str(tmp_path / "archive")
    common: dict[str, Any] = {"checkpoint_interval_s": 0.1, "checkpoints_kept": 1}
    default = ForkedWorker(nursery, redis_server.url, keys, tmp_path, archive=archive, archive_interval_s=0.1, **common)
    with contextlib.closing(default):
        default.start()
        until(lambda: redis_client.get(keys.trimmed) == b"20-0")
        append(redis_client, keys, entries[20:25], first=21)
        (tmp_path / "wide").mkdir()
        wide = ForkedWorker(
            nursery, redis_server.url, keys.of("wide"), tmp_path, variant="wide", begin_from=archive, **common
        )
        with contextlib.closing(wide):
            wide.start()
            wide.wait_until_visible(redis_client, "25-0")
            assert not wide.logged("beginning on the graph of another variant")
            applied = [redis_client.hget(each.served, "applied") for each in (keys, keys.of("wide"))]
            default.wait_until_visible(redis_client, "25-0")
            assert applied[1] == redis_client.hget(keys.served, "applied")
            append(redis_client, keys, entries[25:], first=26)
            wide.wait_until_visible(redis_client, "30-0")
            assert wide.terminate() == 0


def test_only_a_challenger_begins_from_an_archive(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, nursery: Nursery, tmp_path: Path
) -> None:
    worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path, begin_from=str(tmp_path / "archive"))
    with contextlib.closing(worker):
        worker.start()
        until(lambda: worker.logged("olad rebuild brings the log of the default one back"))
