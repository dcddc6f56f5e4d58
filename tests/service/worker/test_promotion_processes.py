"""Two real workers, readers of two API processes, and a champion that changes while events come in."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service.store.keys import Keys
from service.store.positions import PositionPair, parse_position
from tests.chaos.workers import ForkedWorker, Nursery, until
from tests.redis_server import RedisServer
from tests.service.api.serving import serving

NODES = [str(number) for number in range(60)]
PATHS = ("/predict/{node}", "/predict", "/top/class%201")
PROMOTIONS = 8


def events(number: int) -> list[dict[str, Any]]:
    """A batch that adds a node and edges to it, and labels one."""
    node = NODES[number % len(NODES)]
    batch: list[dict[str, Any]] = [{"op": "upsert_node", "id": node, "x": [number % 2, 1 - number % 2]}]
    batch += [{"op": "upsert_edge", "src": node, "dst": NODES[(number * step) % len(NODES)]} for step in (3, 7)]
    return [*batch, {"op": "label", "id": node, "label": f"class {number % 2}"}]


class Reader:
    """Reads as fast as it can, and compares each position with what any reader had seen before it asked.

    Attributes:
        failed: answers that were refused, or went back.
        counts: reads of each path.
    """

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.failed: list[str] = []
        self.counts: dict[str, int] = {}
        self.variants: set[str] = set()
        self._seen: PositionPair = (0, 0)
        self._lock = threading.Lock()

    def read(self, url: httpx.URL, path: str) -> None:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            for number in itertools.count():
                if self.ended.is_set():
                    return
                with self._lock:
                    floor = self._seen
                self._check(floor, path, self.ask(client, path, NODES[number % len(NODES)]))

    @staticmethod
    def ask(client: httpx.Client, path: str, node: str) -> httpx.Response:
        if path == "/predict":
            return client.post(path, json={"nodes": [node, NODES[0]]})
        return client.get(path.format(node=node))

    def _check(self, floor: PositionPair, path: str, answer: httpx.Response) -> None:
        body = answer.json()
        if not answer.is_success:
            self.failed.append(f"{path}: {answer.text}")
            return
        found = body["predictions"] if path == "/predict" else [body]
        at = min(parse_position(each["position"]) for each in found)
        names = {each["variant"] for each in found}
        with self._lock:
            if at < floor or len(names) > 1:
                self.failed.append(f"{path}: readers had seen {floor}, then came {found}")
            self._seen = max(self._seen, at)
            self.counts[path] = self.counts.get(path, 0) + 1
            self.variants |= names


@pytest.fixture
def workers(redis_server: RedisServer, keys: Keys, nursery: Nursery, tmp_path: Path) -> Iterator[None]:
    """The default worker and a challenger."""
    default = ForkedWorker(nursery, redis_server.url, keys, tmp_path)
    wide = ForkedWorker(nursery, redis_server.url, keys.of("wide"), tmp_path, variant="wide", width=16)
    with contextlib.closing(default), contextlib.closing(wide):
        for worker in (default, wide):
            worker.start()
        yield


def test_nothing_is_refused_and_no_answer_goes_back(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, workers: None
) -> None:
    reader, sent = Reader(), itertools.count()
    with serving(redis_server.url, keys.graph) as api, serving(redis_server.url, keys.graph) as other:

        def send() -> None:
            api.post("/events", json=events(next(sent))).raise_for_status()

        for _ in NODES:
            send()
        for each in (keys, keys.of("wide")):
            until(lambda each=each: redis_client.hget(each.served, "version"))  # type: ignore[misc]
        until(lambda: all("variant" in one.get(f"/predict/{NODES[0]}").json() for one in (api, other)))
        # A route is built by its first request, which two servers in one process must not do at the same time.
        for one in (api, other):
            one.post("/variants/nobody/promote")
            for path in PATHS:
                Reader.ask(one, path, NODES[0])

        def write() -> None:
            while not reader.ended.is_set():
                send()

        with ThreadPoolExecutor(6) as pool:
            tasks = [pool.submit(write)]
            for one, path in ((other, PATHS[0]), *zip((api, api, other), PATHS, strict=True)):
                tasks.append(pool.submit(reader.read, one.base_url, path))
            try:
                for number in range(PROMOTIONS):
                    name = "default" if number % 2 else "wide"
                    answer = (api, other)[number // 2 % 2].post(f"/variants/{name}/promote?timeout_ms=30000")
                    assert answer.json()["champion"] == name, answer.text
                    before = dict(reader.counts)
                    until(lambda before=before: _each_read(reader, before) or reader.failed)  # type: ignore[misc]
            finally:
                reader.ended.set()
            for task in tasks:
                task.result()
        # Every worker reports what has happened.
        for name in ("default", "wide"):
            until(lambda name=name: _reported(api, name) == PROMOTIONS)  # type: ignore[misc]
    assert reader.failed == []
    assert reader.variants == {"default", "wide"}
    assert sum(reader.counts.values()) >= 10 * PROMOTIONS


def _reported(api: httpx.Client, name: str) -> int:
    """Decisions to promote that the worker of a variant has reported."""
    decisions = api.get("/students", params={"variant": name}).json()["decisions"]
    return sum(decision["kind"] == "variant-promoted" for decision in decisions)


def _each_read(reader: Reader, before: dict[str, int]) -> bool:
    """Whether every path was read ten times since."""
    return len(reader.counts) == len(PATHS) and all(
        count >= before.get(path, 0) + 10 for path, count in reader.counts.items()
    )
