"""Lists of nodes over HTTP, made by a real engine on request."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import numpy as np
import pytest
import redis

from olad_core.events import Event, UpsertEdge, UpsertNode
from service.store.keys import Keys
from service.store.node_lists import encode_list
from service.store.prediction_writer import LISTS_KEPT, PredictionWriter
from service.store.request_reader import RequestReader
from tests.olad_core.runs import PAIR, Run, learned
from tests.olad_core.streams import two_communities
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem
from tests.service.publications import publication
from tests.service.worker_process import worker_process


class ListWorker:
    """Publishes what an engine holds, and answers requests in a thread while it is told to."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self.engine = learned(Run(PAIR)).engine
        self._client, self._keys = client, keys
        self._writer = PredictionWriter(client, keys)
        self._writer.start()
        self._requests = RequestReader(client, keys)
        self._requests.begin()
        self.made: list[str] = []
        self.engine.republish()
        self.apply([event for event in two_communities(140, labelled=False) if isinstance(event, UpsertNode)][40:])

    def apply(self, events: Sequence[Event], most_work: int | None = None) -> str:
        number = int(self.engine.position.partition("-")[0]) + 1
        self.engine.apply(f"{number}-0", events, 0.0)
        self.engine.refresh(most_work)
        self.publish()
        return self.engine.position

    def publish(self, answered: str | None = None) -> None:
        self._client.set(self._keys.appended, self.engine.applied_events)
        self._writer.publish(replace(self.engine.take_publication(), answered=answered))
        self._writer.heartbeat(60_000)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        stop = threading.Event()

        def answer() -> None:
            while not stop.is_set():
                self._requests.wait("9999999999999-0", 20)
                for request in self._requests.read(100):
                    assert request.list_name is not None
                    self.made.append(request.list_name)
                    self.engine.make_list(request.list_name)
                    self.publish(request.number)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def worker(redis_client: redis.Redis, keys: Keys) -> ListWorker:
    return ListWorker(redis_client, keys)


def test_the_likeliest_nodes_of_a_class(api: httpx.Client, worker: ListWorker) -> None:
    with worker.answering():
        found = api.get("/top/odd?limit=30").json()
        assert len(found["nodes"]) == 30
        for listed in found["nodes"][:5]:
            answer = api.get(f"/predict/{listed['node']}").json()
            assert listed["probability"] == answer["probabilities"]["odd"]
            assert (listed["label"], listed["disagreement"]) == (answer["label"], answer["disagreement"])
        probabilities = [listed["probability"] for listed in found["nodes"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert (found["marked"], found["position"], found["behind"]) == (0, worker.engine.position, 0)
        # A shorter one of the same moment is at hand, and a longer one is made.
        assert api.get("/top/odd?limit=3").json()["nodes"] == found["nodes"][:3]
        assert worker.made == ["top:100:0:odd"]
        everything = api.get("/top/odd?limit=1000&labelled=true").json()["nodes"]
        assert len(everything) == worker.engine.graph.num_nodes
        assert worker.made == ["top:100:0:odd", "top:1000:1:odd"]


def test_min_position_is_waited_for(api: httpx.Client, worker: ListWorker) -> None:
    with worker.answering():
        api.get("/nodes?order=arrived")
        ahead = int(worker.engine.position.partition("-")[0]) + 1
        query = f"order=arrived&limit=1&min_position={ahead}-0"
        body = assert_problem(api.get(f"/nodes?{query}&timeout_ms=50"), 504, "position-not-reached")
        assert body["position"] == worker.engine.position
        timer = threading.Timer(0.2, worker.apply, [[UpsertNode(id="newest", x=[1.0, 0.0, 0.5])]])
        timer.start()
        found = api.get(f"/nodes?{query}&timeout_ms=60000").json()
        timer.join()
        assert [listed["node"] for listed in found["nodes"]] == ["newest"]
        assert found["position"] == f"{ahead}-0"


def test_with_marked_rows_a_list_says_how_many_and_is_made_again(api: httpx.Client, worker: ListWorker) -> None:
    with worker.answering():
        worker.apply([UpsertEdge(src=node, dst=139) for node in range(100)], most_work=1)
        first = api.get("/top/odd?limit=2").json()
        assert first["marked"] == worker.engine.marked > 0
        worker.engine.tidy(10**9)
        second = api.get("/top/odd?limit=2").json()
        assert second["marked"] == 0
        assert len(worker.made) == 2


def test_without_a_worker_the_last_list_is_answered(
    api: httpx.Client, worker: ListWorker, redis_client: redis.Redis, keys: Keys
) -> None:
    assert_problem(api.get("/nodes?order=changed&timeout_ms=50"), 504, "position-not-reached")
    with worker.answering():
        found = api.get("/nodes?order=changed").json()
    redis_client.delete(keys.heartbeat)
    position = worker.apply([UpsertNode(id="late", x=[1.0, 0.0, 0.5])])
    redis_client.delete(keys.heartbeat)
    again = api.get("/nodes?order=changed").json()
    assert again["nodes"] == found["nodes"]
    assert (again["position"], again["behind"]) == (found["position"], 1)
    assert_problem(api.get(f"/nodes?order=changed&min_position={position}"), 504, "position-not-reached")


def test_a_killed_worker_leaves_nobody_waiting(
    api: httpx.Client, writer: PredictionWriter, redis_server: RedisServer, redis_client: redis.Redis, keys: Keys
) -> None:
    writer.publish(publication("1-0", {"1": [1.0, 0.0]}))
    with worker_process(redis_server.url, keys) as process, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(api.get, "/nodes?order=arrived&timeout_ms=60000")
        end = time.monotonic() + 30
        while not redis_client.xlen(keys.requests):
            assert time.monotonic() < end
            time.sleep(0.01)
        assert not answer.done()
        process.kill()
        assert_problem(answer.result(timeout=30), 504, "position-not-reached")
    assert redis_client.exists(keys.heartbeat)
    assert redis_client.xlen(keys.requests) == 1


def test_what_cannot_be_listed(api: httpx.Client, writer: PredictionWriter) -> None:
    assert_problem(api.get("/top/a"), 503, "no-model")
    writer.publish(publication("5-0", {"n": [0.5, 0.5]}))
    assert_problem(api.get("/top/nothing"), 404, "unknown-class")
    for path in ("/top/a?limit=0", "/top/a?limit=1001", "/nodes", "/nodes?order=best", "/top/", "/top/%ff"):
        assert_problem(api.get(path), 422, "invalid-request")


def test_a_name_with_slashes_and_colons(
    api: httpx.Client, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
) -> None:
    names = ("a/b:c", "ключ ?")
    writer.publish(publication("5-0", {"n": [0.5, 0.5]}, classes=names))
    for path in ("/top/a/b:c", "/top/%D0%BA%D0%BB%D1%8E%D1%87%20%3F"):
        # The class is known; only nobody makes the list.
        assert_problem(api.get(f"{path}?timeout_ms=20"), 504, "position-not-reached")


def test_lists_in_redis_are_bounded_and_go_with_the_worker(
    redis_client: redis.Redis, keys: Keys, writer: PredictionWriter, worker: ListWorker
) -> None:
    worker.engine.make_list("arrived:100:0:")
    (made,) = worker.engine.take_publication().lists
    writer.start()
    for number in range(LISTS_KEPT + 5):
        lists = (replace(made, name=f"top:100:0:{number}"),)
        writer.publish(replace(publication(f"{10**6 + number}-0", {"n": [0.5, 0.5]}), lists=lists))
    kept = redis_client.hkeys(keys.lists)
    assert {*kept} == {f"top:100:0:{number}".encode() for number in range(5, LISTS_KEPT + 5)}
    stored = encode_list(made, publication("1-0"))
    assert len(stored) < 100 * len(made.nodes)
    assert np.isfinite(made.probabilities).all()
    writer.start()
    assert redis_client.hlen(keys.lists) == 0


def test_nodes_are_found_by_what_their_ids_begin_with(api: httpx.Client, worker: ListWorker) -> None:
    with worker.answering():
        found = api.get("/nodes?order=id&prefix=13&limit=20&labelled=true").json()
        assert [listed["node"] for listed in found["nodes"]] == ["13", *(f"13{number}" for number in range(10))]
        answer = api.get("/predict/13").json()
        assert found["nodes"][0]["label"] == answer["label"]
        assert api.get("/nodes?order=id&prefix=no:thing").json()["nodes"] == []
    assert_problem(api.get("/nodes?order=changed&prefix=1"), 422, "invalid-request")
