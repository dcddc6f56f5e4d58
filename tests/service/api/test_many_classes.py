"""Predictions of many classes: rows hold the most likely ones, and the worker makes whole rows on request."""

from __future__ import annotations

import math
import threading
import time
from random import Random
from typing import Any, cast

import httpx
import numpy as np
import pyarrow
import pyarrow.ipc
import pytest
import redis

from olad_core.tasks.label_rule import LabelRule, decide
from service.api.arrow import ARROW
from service.store.keys import Keys
from service.store.positions import parse_position
from tests.service.api.serving import assert_problem
from tests.service.api.test_marked_rows import get, in_background, until
from tests.service.lazy_worker import LazyEngine, LazyWorker, shares

NODES = [f"n{number}" for number in range(6)]
BEST = 32


@pytest.fixture(params=[100, 2_000])
def worker(request: pytest.FixtureRequest, redis_client: redis.Redis, keys: Keys) -> LazyWorker:
    return with_classes(redis_client, keys, request.param)


def with_classes(client: redis.Redis, keys: Keys, classes: int) -> LazyWorker:
    """Six nodes, two of which are marked."""
    engine = LazyEngine(Random(1), classes=tuple(f"c{number}" for number in range(classes)))
    worker = LazyWorker(client, keys, engine)
    engine.apply(NODES)
    worker.publish()
    engine.apply((), NODES[:2])
    worker.publish()
    return worker


def expected(engine: LazyEngine, node: str, position: str) -> dict[str, float]:
    """All classes of a node at a position, in their order."""
    value = engine.value_at(node, parse_position(position))
    assert value is not None
    return dict(zip(engine.classes, shares(value, len(engine.classes)), strict=True))


def check(answer: dict[str, Any], engine: LazyEngine, top: int | None) -> None:
    """The answer shows so many of the likeliest classes in falling order, or all in their order, and the rest."""
    whole = expected(engine, answer["node"], answer["position"])
    places = {name: place for place, name in enumerate(engine.classes)}
    ranked = sorted(whole, key=lambda name: (-whole[name], places[name]))
    shown = [*whole] if top is None else ranked[:top]
    assert answer["probabilities"] == {name: whole[name] for name in shown}
    assert [*answer["probabilities"]] == shown
    assert answer["label"] == ranked[0]
    if len(shown) == len(whole):
        assert "rest" not in answer
    else:
        assert answer["rest"] == pytest.approx(1 - math.fsum(whole[name] for name in shown), abs=1e-6)


QUERIES = [("", BEST), ("top=3", 3), ("top=32", BEST), ("top=33", 33), ("top=all", None), ("top=9999", 9999)]


@pytest.mark.parametrize(("query", "top"), QUERIES)
def test_the_answer_shows_what_is_asked_for(api: httpx.Client, worker: LazyWorker, query: str, top: int | None) -> None:
    worker.live()
    with worker.answering():
        single = get(api, f"/predict/n0?{query}")
        many = api.post(f"/predict?{query}", json={"nodes": [*NODES, "unknown", "n1"]}).json()["predictions"]
        table = arrow(api, [*NODES, "unknown"], query)
    for answer in (single, *many[:6], many[7]):
        check(answer, worker.engine, top)
        assert parse_position(answer["position"]) == worker.engine.position
    assert many[6]["error"] == "not-found"
    for row, answer in zip(table.to_pylist(), many[:6], strict=False):
        assert (row["node"], row["label"]) == (answer["node"], answer["label"])
        assert row["probabilities"] == [*answer["probabilities"].values()]
        names = worker.engine.classes
        shown = names if "classes" not in row else [names[place] for place in row["classes"]]
        assert [*shown] == [*answer["probabilities"]]
        assert row.get("rest") == (pytest.approx(answer["rest"], abs=1e-6) if "rest" in answer else None)
    assert table.column("error").to_pylist() == [None] * 6 + ["not-found"]


def arrow(api: httpx.Client, nodes: list[str], query: str) -> pyarrow.Table:
    answer = api.post(f"/predict?{query}", json={"nodes": nodes}, headers={"accept": ARROW})
    assert answer.status_code == 200, answer.text
    table = pyarrow.ipc.open_stream(answer.content).read_all()
    table.validate(full=True)
    return table


def rows_of(client: redis.Redis, keys: Keys) -> list[bytes]:
    """All rows that readers see."""
    table = cast("bytes", client.hget(keys.served, "table"))
    return cast("list[bytes]", client.hvals(keys.predictions(table.decode())))


def test_a_row_has_the_same_bytes_however_many_classes_there_are(redis_client: redis.Redis) -> None:
    sizes = set()
    for classes in (65, 100, 2_000):
        keys = Keys(f"sizes-{classes}")
        with_classes(redis_client, keys, classes)
        assert redis_client.hget(keys.served, "format") == b"4"
        sizes |= {len(row) for row in rows_of(redis_client, keys)}
    assert sizes == {24 + 8 * BEST + 4}


class TestWithoutAnAnswer:
    def test_without_a_worker_the_best_are_answered_and_more_are_not(
        self, api: httpx.Client, worker: LazyWorker, redis_client: redis.Redis, keys: Keys
    ) -> None:
        for query in ("", "?top=3"):
            check(get(api, f"/predict/n0{query}"), worker.engine, 3 if query else BEST)
        for query in ("top=all", "top=33"):
            for answer in (api.get(f"/predict/n3?{query}"), api.post(f"/predict?{query}", json={"nodes": NODES})):
                problem = assert_problem(answer, 503, "classes-unavailable")
                assert "the worker is away" in str(problem["detail"])
                assert answer.headers["retry-after"] == "1"
        assert redis_client.xlen(keys.requests) == 0
        assert api.post("/predict?top=all", json={"nodes": ["unknown"]}).json()["predictions"][0]["label"] is None

    def test_a_worker_that_is_killed_meanwhile(self, api: httpx.Client, worker: LazyWorker) -> None:
        """Its heartbeat is still there: the wait lasts as long as it may."""
        worker.live()
        for answer in (
            api.get("/predict/n3?top=all&timeout_ms=50"),
            api.post("/predict?top=all&timeout_ms=50", json={"nodes": NODES}),
        ):
            problem = assert_problem(answer, 503, "classes-unavailable")
            assert "within 50 ms" in str(problem["detail"])

    def test_what_nobody_waits_for_any_more_is_not_made(
        self, api: httpx.Client, worker: LazyWorker, redis_client: redis.Redis, keys: Keys
    ) -> None:
        worker.live()
        assert api.get("/predict/n3?top=all&timeout_ms=1").status_code == 503
        time.sleep(0.01)
        assert worker.answer() == 1
        assert [*redis_client.scan_iter("*:whole:*")] == []


def test_the_answers_are_gone_once_they_are_read(
    api: httpx.Client, worker: LazyWorker, redis_client: redis.Redis, keys: Keys
) -> None:
    worker.live()
    with in_background(lambda: get(api, "/predict/n3?top=all")) as answer:
        until(lambda: worker.answer() > 0)
    check(answer.result(), worker.engine, None)
    assert [*redis_client.scan_iter(f"*{keys.graph}*:whole:*")] == []


def test_a_node_that_is_removed_meanwhile_is_not_found(
    api: httpx.Client, worker: LazyWorker, redis_client: redis.Redis, keys: Keys
) -> None:
    worker.live()
    with in_background(lambda: api.get("/predict/n3?top=all")) as answer:
        until(lambda: redis_client.xlen(keys.requests) > 0)
        with worker.lock:
            worker.engine.apply((), (), ["n3"])
        worker.answer()
    assert_problem(answer.result(), 404, "unknown-node")


def test_another_version_meanwhile(api: httpx.Client, worker: LazyWorker) -> None:
    """The rows of an answer are of the version that it names."""
    worker.live()
    stop = threading.Event()

    def versions() -> None:
        while not stop.wait(0.005):
            with worker.lock:
                worker.engine.next_version()
                worker.engine.apply(NODES[:3])
                worker.publish()

    changing = threading.Thread(target=versions)
    with worker.answering():
        changing.start()
        answers = [api.get("/predict/n0?top=all") for _ in range(20)]
        stop.set()
        changing.join()
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert good
    for answer in good:
        check(answer, worker.engine, None)


def test_too_many_classes_in_one_answer(api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
    worker = with_classes(redis_client, keys, 2_000)
    worker.live()
    problem = assert_problem(api.post("/predict?top=all", json={"nodes": ["n0"] * 501}), 413, "too-large")
    assert "at most 500 nodes" in str(problem["detail"])
    assert api.post("/predict", json={"nodes": ["n3"] * 501}).status_code == 200


def test_the_format_of_few_classes_stays(redis_client: redis.Redis, keys: Keys) -> None:
    with_classes(redis_client, keys, 64)
    rows = rows_of(redis_client, keys)
    assert redis_client.hget(keys.served, "format") == b"3"
    assert {len(row) for row in rows} == {24 + 4 * 65}
    assert np.frombuffer(rows[0], "<f4", offset=24)[:64].sum() == pytest.approx(1, abs=1e-5)


def test_labels_follow_a_rule_alike_with_any_top(api: httpx.Client, redis_client: redis.Redis, keys: Keys) -> None:
    """The rule sees the most likely classes, however many are shown."""
    worker = with_classes(redis_client, keys, 100)
    worker.live()
    rule = LabelRule(costs={name: 1.0 + number % 7 for number, name in enumerate(worker.engine.classes)})
    worker.engine.rule = rule
    worker.publish()
    with worker.answering():
        found = {query: api.post(f"/predict?{query}", json={"nodes": NODES}).json() for query, _ in QUERIES}
        tables = [arrow(api, NODES, query) for query in ("", "top=all")]
    (labels,) = {tuple(answer["label"] for answer in each["predictions"]) for each in found.values()}
    assert all(tuple(table.column("label").to_pylist()) == labels for table in tables)
    whole = [expected(worker.engine, answer["node"], answer["position"]) for answer in found["top=all"]["predictions"]]
    table = rule.table(worker.engine.classes)
    names = worker.engine.classes
    assert labels == tuple(names[place] for place in decide(np.array([[*each.values()] for each in whole]), table))
    assert labels != tuple(max(each, key=lambda name: each[name]) for each in whole)
