"""The log and the predictions in a real cluster and under real Sentinels: API and worker as processes and servers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.store.keys import Keys
from tests.chaos.workers import ForkedWorker, Nursery, until
from tests.redis_groups import cluster, watched
from tests.service.api.serving import serving

pytestmark = pytest.mark.timeout(120)


def send(api: httpx.Client, number: int) -> httpx.Response:
    """A batch that adds one node, and says so again when it is sent again."""
    events = [{"op": "upsert_node", "id": str(number), "x": [1.0, float(number % 2)], "label": str(number % 2)}]
    return api.post("/events", json=events, headers={"Idempotency-Key": str(number)})


class Producer:
    """Sends one batch after the other, each again until it is accepted."""

    def __init__(self, api: httpx.Client) -> None:
        self.accepted = 0
        self.refused = 0
        self.why = ""
        self._api = api
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            answer = send(self._api, self.accepted)
            assert answer.status_code in {202, 503}, answer.text
            if answer.status_code == 202:
                self.accepted += 1
            else:
                self.refused += 1
                self.why = answer.text

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def goes_on(self) -> None:
        """Wait until ten more are accepted."""
        enough = self.accepted + 10
        try:
            until(lambda: self.accepted >= enough, 30)
        except AssertionError:
            raise AssertionError(f"{self.accepted} accepted, {self.refused} refused: {self.why}") from None


@contextlib.contextmanager
def service(
    url: str, keys: Keys, nursery: Nursery, folder: Path, **settings: Any
) -> Iterator[tuple[httpx.Client, ForkedWorker]]:
    """An API and a worker, which has caught up."""
    worker = ForkedWorker(nursery, url, keys, folder, checkpoint_interval_s=60, **settings)
    try:
        worker.start()
        with serving(url, keys.graph, **settings) as api:
            until(lambda: worker.logged("caught up"), 60)
            yield api, worker
    finally:
        worker.close()


def everything_is_served(api: httpx.Client, count: int) -> None:
    """Every node is there, and the log has each batch once."""
    until(lambda: api.get("/health/predicting").status_code == 200, 60)
    last = send(api, count)
    assert last.status_code == 202
    nodes = [str(number) for number in range(count + 1)]
    query = {"min_position": last.json()["position"], "timeout_ms": 9_000}
    answer = api.post("/predict", json={"nodes": nodes}, params=query)
    assert answer.status_code == 200, answer.text
    assert [one["node"] for one in answer.json()["predictions"] if one["label"] is not None] == nodes
    log = api.get("/status").json()["log"]
    assert (log["appended_events"], log["entries"]) == (count + 1, count + 1)


def test_a_cluster_of_three(nursery: Nursery, keys: Keys, tmp_path: Path) -> None:
    with (
        cluster(keys.log) as (url, owner, replicas, other),
        service(url, keys, nursery, tmp_path, redis_wait_replicas=1) as (api, worker),
    ):
        producer = Producer(api)
        with producer.running():
            producer.goes_on()
            # In order: a replica takes over and the primary becomes its replica, with all connections open.
            with replicas[0].client() as client:
                client.execute_command("CLUSTER FAILOVER")
            until(lambda: replicas[0].is_primary and owner.info().get("master_link_status") == "up", 30)
            producer.goes_on()
            until(lambda: api.get("/health/predicting").json().get("worker"), 60)
            # By a crash: one of the two others takes over.
            replicas[0].kill()
            until(lambda: owner.is_primary or replicas[1].is_primary, 30)
            producer.goes_on()
        assert worker.running(), worker.log.read_text()[-3000:]
        everything_is_served(api, producer.accepted)
        with other.client() as client:
            assert client.keys("olad:*") == []


def test_sentinels_fail_over(nursery: Nursery, keys: Keys, tmp_path: Path) -> None:
    with (
        watched(replicas=2) as (url, primary, replicas),
        service(url, keys, nursery, tmp_path, redis_wait_replicas=1) as (api, worker),
    ):
        producer = Producer(api)
        with producer.running():
            producer.goes_on()
            primary.kill()
            until(lambda: any(server.is_primary for server in replicas), 60)
            producer.goes_on()
        assert producer.refused
        assert worker.running(), worker.log.read_text()[-3000:]
        everything_is_served(api, producer.accepted)
