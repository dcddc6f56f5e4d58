"""A worker that meets a log entry of a later release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from olad_core.event_codec import encode_log
from service.exit_codes import REFUSES
from service.store.entry_format import ENTRY_FORMAT, UnknownEntryFormat
from service.store.keys import Keys
from service.store.log_reader import LogReader
from tests.chaos.workers import ForkedWorker, Nursery
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries

LATER = str(ENTRY_FORMAT + 1)
ENTRIES = random_entries(3, seed=1)


def append_with_format(client: redis.Redis, keys: Keys, position: str, version: str | bytes) -> None:
    client.xadd(keys.log, {"events": encode_log(ENTRIES[2]), "n": len(ENTRIES[2]), "v": version}, id=position)
    client.incrby(keys.appended, len(ENTRIES[2]))


@pytest.fixture
def worker(redis_server: RedisServer, nursery: Nursery, keys: Keys, tmp_path: Path) -> Iterator[ForkedWorker]:
    process = ForkedWorker(nursery, redis_server.url, keys, tmp_path)
    yield process
    process.close()


@pytest.mark.parametrize("running", [True, False])
def test_the_worker_applies_what_comes_before_and_ends_with_78(
    worker: ForkedWorker, redis_client: redis.Redis, keys: Keys, running: bool
) -> None:
    append(redis_client, keys, ENTRIES[:2])
    if running:
        worker.start()
        worker.wait_until_visible(redis_client, "2-0")
    append_with_format(redis_client, keys, "3-0", LATER)
    if not running:
        worker.start()
    assert worker.wait() == REFUSES
    assert worker.logged(f"log entry 3-0 has format {LATER}, and this worker reads formats up to {ENTRY_FORMAT}")
    assert redis_client.hget(keys.served, "position") == b"2-0"
    assert not redis_client.exists(keys.skipped)
    rejected: Any = redis_client.xrange(keys.rejected)
    assert b"3-0" not in {fields[b"position"] for _, fields in rejected}
    assert redis_client.xlen(keys.log) == 3


@pytest.mark.parametrize("version", [LATER, "0", "-1", "1.5", "", "one", "9" * 5_000, b"\xff"])
def test_the_reader_refuses_every_format_that_it_does_not_know(
    redis_client: redis.Redis, keys: Keys, version: str | bytes
) -> None:
    reader = LogReader(redis_client, keys)
    append(redis_client, keys, ENTRIES[:1])
    append_with_format(redis_client, keys, "2-0", version)
    assert [entry.position for entry in reader.read("0-0", max_events=10_000)] == ["1-0"]
    with pytest.raises(UnknownEntryFormat, match="log entry 2-0 has format"):
        reader.read("1-0", max_events=10_000)


def test_an_entry_without_a_format_has_the_first(redis_client: redis.Redis, keys: Keys) -> None:
    append(redis_client, keys, ENTRIES[:1])
    append_with_format(redis_client, keys, "2-0", "1")
    first, second = LogReader(redis_client, keys).read("0-0", max_events=10_000)
    assert (first.problem, second.problem) == ("", "")
