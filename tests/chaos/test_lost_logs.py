"""A Redis that lost entries, and checkpoints that do not reach the log: recognised, and gone on from when asked."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from service.exit_codes import REFUSES
from service.store.keys import Keys
from service.store.schema import parse_schema
from service.worker.checkpoint import list_checkpoints, read_checkpoint, write_checkpoint
from tests.chaos.workers import ForkedWorker, Nursery, until
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries

ENTRIES = random_entries(12, seed=3)


class Site:
    """One graph, and the workers that serve it one after the other from the same data directory."""

    def __init__(self, nursery: Nursery, server: RedisServer, client: redis.Redis, keys: Keys, data_dir: Path) -> None:
        self.client = client
        self.keys = keys
        self.checkpoints = data_dir / "checkpoints" / keys.graph
        self._nursery = nursery
        self._url = server.url
        self._data_dir = data_dir
        self._workers: list[ForkedWorker] = []

    def worker(self, **settings: object) -> ForkedWorker:
        kept = {"checkpoints_kept": 1} | settings
        self._workers.append(ForkedWorker(self._nursery, self._url, self.keys, self._data_dir, **kept))
        return self._workers[-1]

    def append(self, first: int, last: int) -> None:
        """Append some of the entries, each under its own number."""
        append(self.client, self.keys, ENTRIES[first - 1 : last], first)

    def lose_redis(self) -> None:
        """What is left of the graph in a Redis that lost its files: nothing."""
        stored: Any = self.client.keys(self.keys.log.removesuffix("log") + "*")
        self.client.delete(*stored)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()


@pytest.fixture
def site(
    nursery: Nursery, redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> Iterator[Site]:
    site = Site(nursery, redis_server, redis_client, keys, tmp_path)
    yield site
    site.close()


@pytest.fixture
def stopped_at_3(site: Site) -> Site:
    """Three entries are applied, and no worker runs."""
    site.append(1, 3)
    site.worker().run_until(site.client, "3-0")
    return site


def lose_checkpoints(site: Site) -> None:
    shutil.rmtree(site.checkpoints)
    site.append(4, 5)


def lose_the_end(site: Site) -> None:
    site.client.delete(site.keys.log, site.keys.served)


def lose_entry_3(site: Site) -> None:
    """The file of a Redis that went down before it was written to the end: entry 3 never was, 4 came after."""
    site.lose_redis()
    site.append(1, 2)
    site.append(4, 4)


def write_another_format(site: Site) -> None:
    (path,) = list_checkpoints(site.checkpoints)
    (path / "manifest.json").write_text('{"format": 999}')


def leave_out_labels(site: Site) -> None:
    found = read_checkpoint(list_checkpoints(site.checkpoints)[0])
    del found.tensors["graph/label"]
    write_checkpoint(site.checkpoints, found.tensors, found.values, keep=1)


def serve_an_unknown_student(site: Site) -> None:
    found = read_checkpoint(list_checkpoints(site.checkpoints)[-1])
    versions = found.values["versions"]
    assert isinstance(versions, dict)
    held = {"student": "own:Student", "classes": [], "position": "1-0", "feature_width": 0, "width": 8, "number": 1}
    versions["served"] = versions.get("served", held) | {"architecture": "own:Student"}
    write_checkpoint(site.checkpoints, found.tensors, found.values, keep=1)


@pytest.mark.parametrize(
    ("happens", "settings", "messages"),
    [
        (lose_checkpoints, {}, ["the log is trimmed up to 3-0", "OLAD_ACCEPT_LOG_LOSS=0-0"]),
        (lose_the_end, {}, ["Redis has lost entries", "OLAD_ACCEPT_LOG_LOSS=3-0"]),
        (lose_entry_3, {}, ["Redis has lost entries", "OLAD_ACCEPT_LOG_LOSS=3-0"]),
        (lose_entry_3, {"accept_log_loss": "2-0"}, ["Redis has lost entries", "OLAD_ACCEPT_LOG_LOSS=3-0"]),
        (write_another_format, {}, ["has format 999"]),
        (leave_out_labels, {}, ["is whole, but this release cannot read it"]),
        (serve_an_unknown_student, {}, ["own:Student, which is not known here: name it in OLAD_STUDENTS, or give up"]),
    ],
)
def test_what_cannot_be_gone_on_from_is_refused_with_what_to_do(
    stopped_at_3: Site, happens: Callable[[Site], None], settings: dict[str, object], messages: list[str]
) -> None:
    happens(stopped_at_3)
    worker = stopped_at_3.worker(**settings)
    worker.start()
    assert worker.wait() == REFUSES
    assert [text for text in messages if not worker.logged(text)] == []
    assert not worker.logged("Traceback")


def test_a_redis_emptied_under_a_running_worker_ends_it(stopped_at_3: Site) -> None:
    worker = stopped_at_3.worker()
    worker.start()
    worker.wait_until_visible(stopped_at_3.client, "3-0")
    stopped_at_3.lose_redis()
    assert worker.wait() == REFUSES
    assert worker.logged("the worker cannot go on")


def test_a_lost_entry_is_left_behind_when_asked(stopped_at_3: Site) -> None:
    client, keys = stopped_at_3.client, stopped_at_3.keys
    lose_entry_3(stopped_at_3)
    worker = stopped_at_3.worker(accept_log_loss="3-0")
    worker.run_until(client, "4-0")
    assert worker.logged("going on without entries that are lost")
    applied, appended = client.hget(keys.served, "applied"), client.get(keys.appended)
    assert applied == appended == str(sum(map(len, ENTRIES[:4]))).encode()


def test_an_empty_redis_goes_on_from_the_checkpoint_when_asked(stopped_at_3: Site) -> None:
    stopped_at_3.lose_redis()
    stopped_at_3.worker(accept_log_loss="3-0").run_until(stopped_at_3.client, "3-0")
    schema: Any = stopped_at_3.client.get(stopped_at_3.keys.schema)
    held = parse_schema(schema)
    assert held.feature_width_held
    assert set(held.classes) == {"class 0", "class 1", "class 2"}
    with pytest.raises(redis.ResponseError, match="equal or smaller"):
        stopped_at_3.append(3, 3)
    stopped_at_3.append(4, 4)
    stopped_at_3.worker().run_until(stopped_at_3.client, "4-0")


def test_a_stop_while_catching_up_is_orderly_and_takes_nothing_back(site: Site) -> None:
    client, keys = site.client, site.keys
    worker = site.worker(steps_per_entry=30, checkpoint_interval_s=3600)
    site.append(1, 12)
    worker.start()
    worker.wait_until_visible(client, "12-0")
    worker.kill()
    client.delete(keys.heartbeat)
    worker.start()
    until(lambda: client.exists(keys.heartbeat))
    assert worker.terminate() == 0, worker.log.read_text()
    assert not worker.logged("caught up")
    assert client.hget(keys.served, "position") == b"12-0"
    assert list_checkpoints(site.checkpoints) == []
