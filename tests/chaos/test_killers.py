"""An entry that kills the worker is set aside after it did so twice alone; other kills set nothing aside."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from olad_core.events import Event
from olad_core.graph import DynamicGraph
from service.store.keys import Keys
from tests.chaos.faults import Fault
from tests.chaos.test_bugs import BOOM, graph_of
from tests.chaos.workers import ForkedWorker, Nursery, until
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries

KILLER = Fault(point="killer", number=0, part=0.0)
KILLER_WHEN_PUBLISHED = Fault(point="killer when published", number=0, part=0.0)
AWAY = {"checkpoint_interval_s": 3600}
"""No checkpoint between the starts: all is replayed."""


@pytest.fixture
def worker(redis_server: RedisServer, nursery: Nursery, keys: Keys, tmp_path: Path) -> Iterator[ForkedWorker]:
    process = ForkedWorker(nursery, redis_server.url, keys, tmp_path, **AWAY)
    yield process
    process.close()


def set_aside(client: redis.Redis, keys: Keys) -> list[dict[bytes, bytes]]:
    rejected: Any = client.xrange(keys.rejected)
    return [fields for _, fields in rejected if fields[b"reason"] == b"apply-failed"]


def deaths(worker: ForkedWorker, fault: Fault, number: int) -> None:
    for _ in range(number):
        worker.start(fault)
        assert worker.wait() == -signal.SIGKILL, worker.log.read_text()


def assert_only_boom_is_missing(
    client: redis.Redis, keys: Keys, data_dir: Path, entries: list[list[Event]], position: bytes
) -> None:
    (whole,) = set_aside(client, keys)
    assert (whole[b"position"], whole[b"op"]) == (position, b"batch")
    assert b"killed" in whole[b"detail"]
    assert b"out of memory?" in whole[b"detail"]
    assert [event["id"] for event in json.loads(whole[b"content"]) if "id" in event] == ["before", "boom", "z"]
    assert client.hget(keys.served, "applied") == client.get(keys.appended)
    expected = DynamicGraph()
    for events in entries:
        expected.apply(events, 0.0)
    graph = graph_of(data_dir, keys)
    assert graph.rows(["before", "boom", "z"]).tolist() == [-1, -1, -1]
    assert (graph.num_nodes, graph.num_edges) == (expected.num_nodes, expected.num_edges)


@pytest.mark.parametrize(
    ("fault", "times"), [(KILLER, 2), (KILLER_WHEN_PUBLISHED, 4)], ids=["when applied", "when published"]
)
def test_an_entry_that_arrives_alone_and_kills_is_set_aside_and_later_ones_are_applied(
    worker: ForkedWorker, redis_client: redis.Redis, keys: Keys, tmp_path: Path, fault: Fault, times: int
) -> None:
    entries = random_entries(12, seed=1)
    worker.start(fault)
    append(redis_client, keys, entries[:5])
    worker.wait_until_visible(redis_client, "5-0")
    append(redis_client, keys, [BOOM], first=6)
    assert worker.wait() == -signal.SIGKILL
    append(redis_client, keys, entries[5:], first=7)
    deaths(worker, fault, times - 1)
    worker.start(fault)
    worker.wait_until_visible(redis_client, "13-0")
    assert "killed" in worker.log.read_text()
    assert worker.terminate() == 0
    assert_only_boom_is_missing(redis_client, keys, tmp_path, entries, b"6-0")


def test_an_entry_among_others_is_found_by_one_death_more(
    worker: ForkedWorker, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    entries = random_entries(12, seed=1)
    append(redis_client, keys, [*entries[:5], BOOM, *entries[5:]])
    deaths(worker, KILLER, 3)
    worker.start(KILLER)
    worker.wait_until_visible(redis_client, "13-0")
    assert worker.terminate() == 0
    assert_only_boom_is_missing(redis_client, keys, tmp_path, entries, b"6-0")


def test_two_entries_that_kill_are_both_set_aside(
    worker: ForkedWorker, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    entries = random_entries(12, seed=1)
    append(redis_client, keys, [*entries[:5], BOOM, *entries[5:8], BOOM, *entries[8:]])
    deaths(worker, KILLER, 5)
    worker.start(KILLER)
    worker.wait_until_visible(redis_client, "14-0")
    assert [whole[b"position"] for whole in set_aside(redis_client, keys)] == [b"6-0", b"10-0"]


def test_an_entry_that_kills_in_a_replay_of_what_readers_have_seen_is_set_aside(
    worker: ForkedWorker, redis_client: redis.Redis, keys: Keys
) -> None:
    entries = random_entries(12, seed=1)
    append(redis_client, keys, [*entries[:5], BOOM, *entries[5:]])
    worker.start()
    worker.wait_until_visible(redis_client, "13-0")
    worker.kill()
    assert redis_client.hget(keys.served, "position") == b"13-0"
    deaths(worker, KILLER, 3)
    worker.start(KILLER)
    worker.wait_until_visible(redis_client, "13-0")
    until(lambda: redis_client.hget(keys.skipped, "6-0"))


def test_a_replay_skips_it_though_it_does_not_kill_any_more(
    worker: ForkedWorker,
    redis_server: RedisServer,
    redis_client: redis.Redis,
    nursery: Nursery,
    keys: Keys,
    tmp_path: Path,
) -> None:
    entries = random_entries(6, seed=1)
    append(redis_client, keys, [*entries[:3], BOOM, *entries[3:]])
    deaths(worker, KILLER, 3)
    worker.start(KILLER)
    worker.wait_until_visible(redis_client, "7-0")
    worker.kill()
    other = tmp_path / "other"
    other.mkdir()
    replay = ForkedWorker(nursery, redis_server.url, keys, other, **AWAY)
    try:
        replay.run_until(redis_client, "7-0")
    finally:
        replay.close()
    assert graph_of(other, keys).rows(["before", "boom", "z"]).tolist() == [-1, -1, -1]


def test_kills_at_different_entries_set_nothing_aside(
    worker: ForkedWorker, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    """Three times the worker is killed while it applies an entry alone, each time another one."""
    entries = random_entries(12, seed=1)
    worker.start()
    append(redis_client, keys, entries[:3])
    worker.wait_until_visible(redis_client, "3-0")
    worker.kill()
    position = 3
    for batch in (entries[3:6], entries[6:9], entries[9:12]):
        append(redis_client, keys, [BOOM], first=position + 1)
        deaths(worker, KILLER, 1)
        worker.start()
        append(redis_client, keys, batch, first=position + 2)
        position += 4
        worker.wait_until_visible(redis_client, f"{position}-0")
        worker.kill()
    worker.run_until(redis_client, f"{position}-0")
    assert set_aside(redis_client, keys) == []
    assert not redis_client.exists(keys.skipped)
    assert graph_of(tmp_path, keys).rows(["before", "boom", "z"]).min() >= 0


def test_a_file_that_cannot_be_had_stops_no_worker(
    worker: ForkedWorker, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    (tmp_path / "workers" / f"{keys.graph}.attempts").mkdir(parents=True)
    append(redis_client, keys, random_entries(3, seed=1))
    worker.start()
    worker.wait_until_visible(redis_client, "3-0")
    assert worker.logged("will not be noticed")
    shutil.rmtree(tmp_path / "workers" / f"{keys.graph}.attempts")
