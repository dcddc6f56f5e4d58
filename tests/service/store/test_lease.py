"""One worker owns a graph: handing over, taking over, and never writing again once superseded."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from olad_core.schema import HeldSchema
from service.exit_codes import REFUSES
from service.store.fence import Superseded
from service.store.keys import Keys
from service.store.lease import LEASE_MS, SILENT_S, Lease
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from service.worker.checkpoint import list_checkpoints
from service.worker.standby import wait_for_graph
from tests.chaos.workers import ForkedWorker, Nursery, is_visible, until
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries
from tests.service.publications import publication, worker_status

HELD = HeldSchema()
ENTRIES = random_entries(12, seed=3)
STANDBY = "waiting as a standby"


@pytest.fixture
def pair(redis_server: RedisServer, nursery: Nursery, keys: Keys, tmp_path: Path) -> Iterator[list[ForkedWorker]]:
    """Two workers of one graph on one data directory, not started."""
    workers = []
    for name in ("a", "b"):
        worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path)
        worker.log = tmp_path / f"{name}.log"
        workers.append(worker)
    yield workers
    for worker in workers:
        if worker.running():
            worker.send(signal.SIGCONT)
        worker.close()


@pytest.fixture
def owner_and_standby(
    pair: list[ForkedWorker], redis_client: redis.Redis, keys: Keys
) -> tuple[ForkedWorker, ForkedWorker]:
    """Two running workers. The first one has applied four entries, the second one waits as its standby."""
    owner, standby = pair
    owner.start()
    append(redis_client, keys, ENTRIES[:4])
    owner.wait_until_visible(redis_client, "4-0")
    standby.start()
    until(lambda: standby.logged(STANDBY))
    return owner, standby


def everything(client: redis.Redis, keys: Keys) -> dict[bytes, Any]:
    """All that stands in Redis of the graph, but for what its owner renews."""
    names: Any = client.keys(keys.log.removesuffix("log").replace("{", "[{]").replace("}", "[}]") + "*")
    return {name: client.dump(name) for name in sorted(names) if name != keys.lease.encode()}


class TestLease:
    def lease(self, client: redis.Redis, keys: Keys, tmp_path: Path, lock: str = "lock") -> Lease:
        return Lease(client, keys, tmp_path / lock)

    def test_of_two_one_gets_it(self, redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> None:
        both = [self.lease(redis_client, keys, tmp_path, str(number)) for number in range(8)]
        taken: list[bool] = []
        threads = [threading.Thread(target=lambda one=one: taken.append(one.take())) for one in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == [False] * 7 + [True]

    def test_one_that_is_given_back_is_free_at_once(
        self, redis_client: redis.Redis, keys: Keys, tmp_path: Path
    ) -> None:
        first, second = (self.lease(redis_client, keys, tmp_path, name) for name in ("a", "b"))
        assert first.take()
        with first.kept():
            assert not second.take()
        assert second.take()

    def test_the_owner_keeps_it_whose_answer_was_lost(
        self, redis_client: redis.Redis, keys: Keys, tmp_path: Path
    ) -> None:
        lease = self.lease(redis_client, keys, tmp_path)
        assert lease.take()
        assert lease.take()
        assert lease.begin() == 3

    def test_a_lease_that_ran_out_is_taken_a_while_later_and_not_from_an_owner_that_is_back(
        self, redis_client: redis.Redis, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 100.0
        monkeypatch.setattr("service.store.lease.time.monotonic", lambda: now)
        first, second = (self.lease(redis_client, keys, tmp_path, name) for name in ("a", "b"))
        assert first.take()
        redis_client.delete(keys.lease)
        assert not second.take()
        assert first._renewed(LEASE_MS)
        now += SILENT_S
        assert not second.take()
        redis_client.delete(keys.lease)
        assert not second.take()
        now += SILENT_S
        assert second.take()
        with pytest.raises(Superseded):
            first.begin()
        assert not first._renewed(LEASE_MS)
        assert not first.take()

    def test_nothing_is_written_by_one_that_was_superseded(
        self, redis_client: redis.Redis, keys: Keys, tmp_path: Path
    ) -> None:
        append(redis_client, keys, ENTRIES[:3])
        first, second = (self.lease(redis_client, keys, tmp_path, name) for name in ("a", "b"))
        assert first.take()
        reader, writer = LogReader(redis_client, keys, first), PredictionWriter(redis_client, keys, first)
        writer.start()
        writer.publish(publication("1-0"))
        redis_client.delete(keys.lease)
        second._silent = (first._worker, float("-inf"))
        assert second.take()
        before = everything(redis_client, keys)
        for write in (
            lambda: writer.publish(publication("2-0")),
            lambda: writer.write_status(worker_status(), b""),
            lambda: writer.heartbeat(1000),
            writer.start,
            lambda: reader.skip("1-0", "why"),
            lambda: reader.trim_before("1-0"),
            lambda: reader.adopt("9-0", 1, HELD),
        ):
            with pytest.raises(Superseded):
                write()
        with first.kept():
            pass
        assert everything(redis_client, keys) == before


def test_a_rolling_update_hands_the_graph_over_as_soon_as_the_old_worker_has_ended(
    owner_and_standby: tuple[ForkedWorker, ForkedWorker], redis_client: redis.Redis, keys: Keys
) -> None:
    old, new = owner_and_standby
    append(redis_client, keys, ENTRIES[4:5], first=5)
    old.wait_until_visible(redis_client, "5-0")
    assert not new.logged("restored")
    assert old.terminate() == 0, old.log.read_text()
    ended = time.monotonic()
    append(redis_client, keys, ENTRIES[5:6], first=6)
    until(lambda: is_visible(redis_client, keys, "6-0"))
    assert time.monotonic() - ended < 5
    assert new.logged("restored")
    assert new.terminate() == 0


def test_after_kill_9_the_standby_on_the_same_directory_takes_over_at_once(
    owner_and_standby: tuple[ForkedWorker, ForkedWorker], redis_client: redis.Redis, keys: Keys
) -> None:
    old, new = owner_and_standby
    old.kill()
    append(redis_client, keys, ENTRIES[4:5], first=5)
    until(lambda: is_visible(redis_client, keys, "5-0"), LEASE_MS / 1000 - 1)
    assert new.running()


def test_one_that_was_stopped_is_superseded_writes_nothing_more_and_ends_with_78(
    owner_and_standby: tuple[ForkedWorker, ForkedWorker], redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    old, new = owner_and_standby
    old.send(signal.SIGSTOP)
    append(redis_client, keys, ENTRIES[4:5], first=5)
    until(lambda: is_visible(redis_client, keys, "5-0"), LEASE_MS / 1000 + SILENT_S + 10)
    assert new.terminate() == 0
    before = everything(redis_client, keys)
    checkpoints = list_checkpoints(tmp_path / "checkpoints" / keys.graph)
    old.send(signal.SIGCONT)
    assert old.wait() == REFUSES, old.log.read_text()
    assert old.logged("the worker cannot go on")
    assert everything(redis_client, keys) == before
    assert list_checkpoints(tmp_path / "checkpoints" / keys.graph) == checkpoints


def test_two_started_in_the_same_moment_do_not_fight(
    pair: list[ForkedWorker], redis_client: redis.Redis, keys: Keys
) -> None:
    for worker in pair:
        worker.start()
    append(redis_client, keys, ENTRIES)
    until(lambda: is_visible(redis_client, keys, "12-0"))
    until(lambda: any(worker.logged(STANDBY) for worker in pair))
    starts = redis_client.get(keys.starts)
    time.sleep(3)
    assert [worker.running() for worker in pair] == [True, True]
    assert sorted(worker.logged(STANDBY) for worker in pair) == [False, True]
    assert redis_client.get(keys.starts) == starts
    standby = next(worker for worker in pair if worker.logged(STANDBY))
    assert standby.terminate() == 0
    assert standby.log.read_text().count(STANDBY) == 1


def test_a_standby_ends_when_it_is_asked_to(redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> None:
    owner, other = Lease(redis_client, keys, tmp_path / "a"), Lease(redis_client, keys, tmp_path / "b")
    assert owner.take()
    stop = threading.Event()
    stop.set()
    assert not wait_for_graph(other, stop)
