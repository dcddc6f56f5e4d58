"""The graph's clock from the request to the worker's report, and through a replay of the log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service.store.keys import Keys
from service.store.log_reader import LogReader
from tests.chaos.workers import ForkedWorker, Nursery
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving


@pytest.fixture
def api(redis_server: RedisServer, graph: str) -> Iterator[httpx.Client]:
    with serving(redis_server.url, graph) as client:
        yield client


@pytest.fixture
def worker(redis_server: RedisServer, nursery: Nursery, keys: Keys, tmp_path: Path) -> Iterator[ForkedWorker]:
    process = ForkedWorker(nursery, redis_server.url, keys, tmp_path, steps_per_entry=0, checkpoint_interval_s=3600.0)
    process.start()
    yield process
    process.close()


def edge(src: str, ts: float | None = None) -> dict[str, object]:
    return {"op": "upsert_edge", "src": src, "dst": "hub", "ts": ts}


def graph_at(api: httpx.Client, position: str) -> dict[str, Any]:
    """The graph as the worker reports it once it has applied a position."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        worker = api.get("/status").json()["worker"]
        if worker is not None and worker["position"] == position:
            graph: dict[str, Any] = worker["graph"]
            return graph
        time.sleep(0.05)
    raise AssertionError(f"the worker has not reported {position}")


def test_a_label_without_ts_leaves_the_edges_where_they_are(api: httpx.Client, worker: ForkedWorker) -> None:
    api.put("/schema", json={"edge_lifetime": 10})
    api.post("/events", json=[edge("a", 100), edge("b", 101)])
    last = api.post("/events", json=[{"op": "label", "id": "a", "label": "x"}]).json()["position"]
    graph = graph_at(api, last)
    assert (graph["edges"], graph["latest_time"], graph["event_time"]) == (2, 101.0, True)


def test_a_ts_too_far_ahead_is_rejected_and_named(api: httpx.Client, worker: ForkedWorker) -> None:
    api.put("/schema", json={"edge_lifetime": 10})
    api.post("/events", json=[edge("a", 100)])
    last = api.post("/events", json=[edge("b", 1e30), edge("c", 105)]).json()["position"]
    graph = graph_at(api, last)
    assert (graph["edges"], graph["latest_time"]) == (2, 105.0)
    (rejected,) = api.get("/events/rejected").json()["rejected"]
    assert (rejected["position"], rejected["index"], rejected["reason"]) == (last, 0, "ts-ahead")


def test_the_clock_is_set_back_by_an_entry_of_the_log(
    api: httpx.Client, worker: ForkedWorker, redis_client: redis.Redis, keys: Keys
) -> None:
    api.put("/schema", json={"edge_lifetime": 10})
    api.post("/events", json=[edge("a", 100), edge("wrong", 5000)])
    answer = api.put("/clock", json={"time": 100})
    assert answer.status_code == 202
    assert graph_at(api, answer.json()["position"])["latest_time"] == 100.0
    last = api.post("/events", json=[edge("b", 101), edge("c")]).json()["position"]
    before = graph_at(api, last)
    assert (before["edges"], before["latest_time"]) == (3, 101.0)
    worker.kill()
    redis_client.delete(keys.status)
    worker.start()
    assert graph_at(api, last) == before, "a replay of the log repeats it"


def test_a_clock_is_given_up(api: httpx.Client, worker: ForkedWorker) -> None:
    api.post("/events", json=[edge("a", 100)])
    position = api.put("/clock", json={"time": None}).json()["position"]
    graph = graph_at(api, position)
    assert graph["event_time"] is False
    assert graph["latest_time"] == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{}", "time"),
        ('{"time": "x"}', "time"),
        ('{"time": NaN}', "time"),
        ('{"time": 1e31}', "time"),
        ('{"time": 1, "ts": 2}', "ts"),
    ],
)
def test_what_is_no_time_is_refused(
    api: httpx.Client, redis_client: redis.Redis, keys: Keys, body: str, field: str
) -> None:
    headers = {"content-type": "application/json"}
    problem = assert_problem(api.put("/clock", content=body, headers=headers), 422, "invalid-request")
    errors: Any = problem["errors"]
    assert errors[0]["field"] == field
    assert not redis_client.exists(keys.log)


def test_an_entry_tells_when_it_came_where_its_position_cannot(
    api: httpx.Client, redis_client: redis.Redis, keys: Keys
) -> None:
    """After Redis's clock was ahead for a while, positions go on from there."""
    redis_client.xadd(keys.log, {"events": b"\x90", "n": 0}, id="9999999999999-0")
    api.post("/events", json=[edge("a")])
    api.put("/clock", json={"time": 5})
    future, batch, setting = LogReader(redis_client, keys).read("0-0", max_events=99)
    assert future.arrival == 9999999999.999
    assert batch.position.startswith("9999999999999-")
    assert batch.arrival == pytest.approx(time.time(), abs=60)
    assert setting.clock is not None
    assert setting.clock.time == 5.0
    assert setting.arrival == pytest.approx(time.time(), abs=60)
