"""Batches are held against the worker's memory before they enter the log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from service.store.status import GraphStatus, MemoryStatus
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving
from tests.service.publications import worker_status

BUDGET = 800_000_000
EDGES = [{"op": "upsert_edge", "src": f"a{n}", "dst": f"b{n}"} for n in range(10_000)]
WIDE = [{"op": "upsert_node", "id": f"n{n}", "x": [1.0] * 10_000} for n in range(120)]


def reported(
    *,
    position: str = "0-0",
    rows: int = 0,
    edges: int = 0,
    featured: int = 0,
    width: int | None = None,
    classes: int = 2,
) -> object:
    memory = MemoryStatus(
        budget=BUDGET, needed=1, used=1, rows=rows, featured=featured, students=4, recurrent=0, hidden=64
    )
    names = tuple(map(str, range(classes)))
    graph = GraphStatus(nodes=rows, edges=edges, labelled=0, classes=names, feature_width=width)
    return worker_status().model_copy(update={"memory": memory, "graph": graph, "position": position})


@pytest.fixture
def api(redis_server: RedisServer, graph: str) -> Iterator[httpx.Client]:
    with serving(redis_server.url, graph) as client:
        yield client


def report(writer: PredictionWriter, *, rows: int, edges: int = 0, position: str = "0-0") -> None:
    """Let the worker report a graph of these sizes, and the API read the report again."""
    memory = MemoryStatus(budget=BUDGET, needed=1, used=1, rows=rows, featured=0, students=4, recurrent=0, hidden=64)
    graph = GraphStatus(nodes=rows, edges=edges, labelled=0, classes=("0", "1"), feature_width=None)
    status = worker_status().model_copy(update={"memory": memory, "graph": graph, "position": position})
    writer.write_status(status, b"")
    time.sleep(0.3)


def test_what_does_not_fit_into_the_graph_is_429_with_the_figures(
    api: httpx.Client, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
) -> None:
    report(writer, rows=100)
    assert api.post("/events", json=EDGES).status_code == 202
    report(writer, rows=90_000, edges=100_000, position="9999999999999-0")
    answer = api.post("/events", json=EDGES)
    detail = str(assert_problem(answer, 429, "overloaded")["detail"])
    assert "(20,000 nodes, 10,000 edges, " in detail
    assert "the graph (90,000 nodes, 100,000 edges, 2 classes) may need " in detail
    assert "800,000,000" in detail
    assert "remove nodes" in detail
    assert int(answer.headers["retry-after"]) > 0
    assert redis_client.xlen(keys.log) == 1


def test_removals_and_labels_are_always_let_in(api: httpx.Client, writer: PredictionWriter) -> None:
    report(writer, rows=10**9)
    assert api.post("/events", json=EDGES[:1]).status_code == 429
    batch = [
        {"op": "remove_node", "id": 1},
        {"op": "remove_edge", "src": 1, "dst": 2},
        {"op": "label", "id": 1, "label": 0},
    ]
    assert api.post("/events", json=batch).status_code == 202


def test_what_fits_into_no_graph_is_422(api: httpx.Client, writer: PredictionWriter) -> None:
    report(writer, rows=10)
    labels = [{"op": "upsert_node", "id": n, "label": n % 1_000} for n in range(10_000)]
    detail = str(assert_problem(api.post("/events", json=labels), 422, "too-much-memory")["detail"])
    assert "alone in a graph, the batch (10,000 nodes, 0 edges, 1,000 classes) may need " in detail


def test_wide_features_count_with_their_width(api: httpx.Client, writer: PredictionWriter) -> None:
    report(writer, rows=10)
    codes = [api.post("/events", json=WIDE).status_code for _ in range(40)]
    assert codes[0] == 202
    assert codes[-1] == 429


def test_batches_that_are_not_applied_yet_count(api: httpx.Client, writer: PredictionWriter) -> None:
    report(writer, rows=10)
    codes = [api.post("/events", json=EDGES).status_code for _ in range(12)]
    assert codes[0] == 202
    assert codes[-1] == 429
    # The worker has applied all of them, and knew every id already.
    report(writer, rows=10, position="9999999999999-0")
    assert api.post("/events", json=EDGES).status_code == 202


def test_ids_that_stand_twice_count_once(api: httpx.Client, writer: PredictionWriter) -> None:
    report(writer, rows=35_000)
    one = [{"op": "upsert_edge", "src": "hub", "dst": f"a{n % 50}"} for n in range(10_000)]
    assert api.post("/events", json=EDGES).status_code == 429
    assert api.post("/events", json=one).status_code == 202


def test_a_budget_that_is_set_holds_before_the_worker_has_reported(redis_server: RedisServer, graph: str) -> None:
    with serving(redis_server.url, graph, memory_budget_mb=600) as api:
        assert_problem(api.post("/events", json=EDGES), 422, "too-much-memory")
        assert api.post("/events", json=EDGES[:100]).status_code == 202


def test_batches_of_other_processes_count_too(
    redis_server: RedisServer, graph: str, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
) -> None:
    report(writer, rows=20_000, edges=10_000)
    with serving(redis_server.url, graph) as one, serving(redis_server.url, graph) as two:
        accepted = 0
        while (answer := (one, two)[accepted % 2].post("/events", json=EDGES[:2_500])).status_code == 202:
            accepted += 1
            assert accepted < 50
            time.sleep(0.3)
        assert_problem(answer, 429, "overloaded")
        assert accepted >= 2
        found: Any = redis_client.xrevrange(keys.log, count=1)
        last = found[0][0].decode()
        # So do those that a process has appended before it was started again.
        with serving(redis_server.url, graph) as third:
            assert_problem(third.post("/events", json=EDGES[:2_500]), 429, "overloaded")
            report(writer, rows=20_000, edges=10_000, position=last)
            assert third.post("/events", json=EDGES[:2_500]).status_code == 202
            assert redis_client.xlen(keys.admitted) == 1 + 1
            # A log that begins again, with earlier positions, does not stop it.
            redis_client.xadd(keys.admitted, {"sums": "1 1 1 1 1", "own": "1 1 1 1 1"}, id="9999999999999-0")
            assert third.post("/events", json=EDGES[:2_500]).status_code == 202
            assert redis_client.xlen(keys.admitted) == 1
