"""A worker with an archive that is killed at random points: every entry is archived once, and a rebuilt log is the log.

With a fixed number of training steps an entry, the state and what is served depend on the log alone. So what a worker
makes of a rebuilt log must have the bytes of what it made of the log itself.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from typer.testing import CliRunner

from service.archive.history import History
from service.archive.place import DirectoryPlace
from service.cli import app
from service.store.keys import Keys
from service.worker.checkpoint import list_checkpoints
from tests.chaos import faults
from tests.chaos.recovery import SETTINGS, outcome
from tests.chaos.small_disk import small_disk, why_not
from tests.chaos.workers import ForkedWorker, Nursery, is_visible, reported, until
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries
from tests.service.metric_values import metric_value

ENTRIES = 40
KILLS = 6


def worker_with(nursery: Nursery, server: RedisServer, keys: Keys, folder: Path, **settings: object) -> ForkedWorker:
    folder.mkdir(parents=True, exist_ok=True)
    archived = {"archive": folder / "archive", "archive_interval_s": 0, "checkpoints_kept": 1}
    return ForkedWorker(nursery, server.url, keys, folder, **SETTINGS | archived | settings)


def log_of(client: redis.Redis, keys: Keys) -> list[tuple[bytes, dict[bytes, bytes]]]:
    found: Any = client.xrange(keys.log)
    return list(found)


def _number(position: bytes) -> int:
    return int(position.partition(b"-")[0])


def archived(folder: Path, keys: Keys) -> list[bytes]:
    history = History(DirectoryPlace(folder / "archive" / keys.graph))
    return [position for segment in history.segments() for position, _ in segment.entries]


def rebuild(server: RedisServer, keys: Keys, folder: Path, archive: Path, *options: str) -> str:
    given = ["--from", str(archive), "--data-dir", str(folder), "--redis-url", server.url, *options]
    done = CliRunner(env={"OLAD_GRAPH": keys.graph}).invoke(app, ["rebuild", *given], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def forget(client: redis.Redis, keys: Keys) -> None:
    """Everything that Redis has of a graph is lost."""
    for key in client.scan_iter(match=keys.log.replace("log", "*").replace("{", "[{]"), count=10_000):
        client.delete(key)


def test_kills_anywhere_lose_no_entry_and_repeat_none_and_a_rebuilt_log_gives_the_same_bytes(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, nursery: Nursery, tmp_path: Path
) -> None:
    entries = random_entries(ENTRIES, seed=3)
    append(redis_client, keys, entries)
    whole = log_of(redis_client, keys)
    last = f"{ENTRIES}-0"
    worker = worker_with(nursery, redis_server, keys, tmp_path)
    random = np.random.default_rng(3)
    for number in range(KILLS):
        worker.start(faults.draw(random, ["archive", "anywhere"][: 2 if number % 2 else 1]))
        with contextlib.suppress(AssertionError):
            until(lambda: not worker.running() or is_visible(redis_client, keys, last), 20)
        worker.close()
        kept = [position for position, _ in log_of(redis_client, keys)]
        there = archived(tmp_path, keys)
        assert there + [position for position in kept if position not in there] == [position for position, _ in whole]
    worker.run_until(redis_client, last)
    before = outcome(redis_client, keys, tmp_path)
    assert archived(tmp_path, keys)
    assert len(log_of(redis_client, keys)) < ENTRIES, "the log was trimmed"

    # Without checkpoints, the log is made of the archive and of what the log still holds.
    again = tmp_path / "again"
    rebuild(redis_server, keys, again, tmp_path / "archive")
    assert log_of(redis_client, keys) == whole
    assert redis_client.get(keys.appended) == str(sum(map(len, entries))).encode()
    for key in (keys.served, keys.rejected):
        redis_client.delete(key)
    worker = worker_with(nursery, redis_server, keys, again, archive=tmp_path / "archive")
    worker.run_until(redis_client, last)
    after = outcome(redis_client, keys, again)
    assert [part for part in before if before[part] != after[part]] == []


def test_an_empty_redis_gets_all_that_is_archived_and_goes_on(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, nursery: Nursery, tmp_path: Path
) -> None:
    append(redis_client, keys, random_entries(12, seed=1))
    worker = worker_with(nursery, redis_server, keys, tmp_path)
    worker.start()
    until(lambda: archived(tmp_path, keys)[-1:] == [b"12-0"])
    assert worker.terminate() == 0
    forget(redis_client, keys)
    again = tmp_path / "again"
    output = rebuild(redis_server, keys, again, tmp_path / "archive", "--without", "3-0..4-0")
    assert "10 entries from the archive" in output
    positions = [position for position, _ in log_of(redis_client, keys)]
    assert positions == [f"{number}-0".encode() for number in range(1, 13) if number not in {3, 4}]
    worker = worker_with(nursery, redis_server, keys, again, archive=tmp_path / "archive")
    append(redis_client, keys, random_entries(13, seed=1)[12:], first=13)
    worker.start()
    until(lambda: is_visible(redis_client, keys, "13-0"))
    until(lambda: archived(tmp_path, keys)[-1:] == [b"13-0"])
    assert worker.terminate() == 0
    # The archive records what is left out: a further rebuild leaves it out as well.
    forget(redis_client, keys)
    rebuild(redis_server, keys, tmp_path / "third", tmp_path / "archive")
    assert [position for position, _ in log_of(redis_client, keys)] == [*positions, b"13-0"]


def test_what_stands_in_the_way_of_a_rebuild_is_named_and_nothing_changes(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, nursery: Nursery, tmp_path: Path
) -> None:
    append(redis_client, keys, random_entries(6, seed=1))
    worker = worker_with(nursery, redis_server, keys, tmp_path)
    worker.start()
    until(lambda: redis_client.get(keys.trimmed) == b"6-0")

    def state() -> list[object]:
        return [log_of(redis_client, keys), *redis_client.mget(keys.trimmed, keys.appended, keys.schema)]

    before = state()

    def refusal(folder: Path, archive: Path) -> str:
        given = ["--from", str(archive), "--data-dir", str(folder), "--redis-url", redis_server.url]
        done = CliRunner(env={"OLAD_GRAPH": keys.graph, "COLUMNS": "500"}).invoke(app, ["rebuild", *given])
        assert done.exit_code == 1
        assert state() == before
        assert not redis_client.exists(keys.rebuilding)
        return done.output

    assert "a worker of graph" in refusal(tmp_path / "other", tmp_path / "archive")
    assert worker.terminate() == 0
    assert list_checkpoints(tmp_path / "checkpoints" / keys.graph)
    assert "holds checkpoints" in refusal(tmp_path, tmp_path / "archive")
    assert "there is no archive" in refusal(tmp_path / "other", tmp_path / "nothing")
    segment = next((tmp_path / "archive" / keys.graph).glob("0-0_*.segment"))
    segment.write_bytes(segment.read_bytes()[:-1])
    assert "does not match its checksum" in refusal(tmp_path / "other", tmp_path / "archive")


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_a_full_disk_of_the_archive_keeps_the_log_and_is_reported(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, nursery: Nursery, tmp_path: Path
) -> None:
    place = tmp_path / "archive"
    place.mkdir()
    with small_disk(place) as disk:
        disk.fill()
        # More than the page that is left.
        append(redis_client, keys, random_entries(30, seed=1))
        worker = worker_with(nursery, redis_server, keys, tmp_path, steps_per_entry=0)
        worker.start()
        worker.wait_until_visible(redis_client, "30-0")
        until(lambda: (archive := reported(redis_client, keys).archive) is not None and archive.problem)
        metrics: Any = redis_client.get(keys.metrics)
        assert metric_value(metrics.decode(), "olad_worker_archive_failing") == 1
        # The first entries may have fitted into that page: what is not archived is in the log.
        kept = [position for position, _ in log_of(redis_client, keys)]
        assert kept
        assert sorted({*archived(tmp_path, keys), *kept}, key=_number) == [b"%d-0" % at for at in range(1, 31)]
        disk.free()
        until(lambda: archived(tmp_path, keys)[-1:] == [b"30-0"])
        until(lambda: not log_of(redis_client, keys))
        assert worker.terminate() == 0
