"""Reading marked rows over HTTP: which answer is given, and when the worker is asked."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random
from typing import Any

import httpx
import pytest
import redis

from service.api import waiting as api_waiting
from service.store import request_writer
from service.store.keys import Keys
from service.store.positions import parse_position
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving
from tests.service.lazy_worker import LazyEngine, LazyWorker, shares
from tests.service.metric_values import shows
from tests.service.worker_process import worker_process

NODES = [f"n{number}" for number in range(10)]
MINUTE = "timeout_ms=60000"


@pytest.fixture
def worker(redis_client: redis.Redis, keys: Keys) -> LazyWorker:
    """Ten nodes at position 0-1 or 1-1; n0 to n4 are marked by a second entry."""
    return with_marks(redis_client, keys)


def with_marks(client: redis.Redis, keys: Keys) -> LazyWorker:
    worker = LazyWorker(client, keys, LazyEngine(Random(1)))
    worker.engine.apply(NODES)
    worker.publish()
    worker.engine.apply((), NODES[:5])
    worker.publish()
    return worker


def check(answer: dict[str, Any], engine: LazyEngine) -> tuple[int, int]:
    """The answer is right at the position that it names; the position."""
    position = parse_position(answer["position"])
    value = engine.value_at(answer["node"], position)
    if value is None:
        assert answer["error"] == "not-found"
    else:
        assert [*answer["probabilities"].values()] == shares(value)
    return position


def get(api: httpx.Client, path: str) -> dict[str, Any]:
    answer = api.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def post(api: httpx.Client, nodes: list[str], query: str = "") -> list[dict[str, Any]]:
    answer = api.post(f"/predict?{query}", json={"nodes": nodes})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.002)


@contextlib.contextmanager
def in_background(work: Callable[[], Any]) -> Iterator[Future[Any]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work)


class TestWorkerAway:
    """Without a heartbeat nobody is asked: an answer is of its own position."""

    def test_each_answer_names_its_position(self, api: httpx.Client, worker: LazyWorker, keys: Keys) -> None:
        first, last = worker.visible
        found = post(api, [*NODES, "unknown"])
        assert [check(answer, worker.engine) for answer in found] == [first] * 5 + [last] * 6
        behind = worker.engine.applied - worker.engine.applied_at[first]
        assert [answer["behind"] for answer in found] == [behind] * 5 + [0] * 6
        for path in ("/predict/n0", "/predict/n0?timeout_ms=60000", "/predict/n0?top=2"):
            assert parse_position(get(api, path)["position"]) == first
        assert get(api, "/predict/n9") == found[9]

    def test_nobody_is_asked(
        self, api: httpx.Client, worker: LazyWorker, redis_client: redis.Redis, keys: Keys
    ) -> None:
        get(api, f"/predict/n0?{MINUTE}")
        post(api, NODES, MINUTE)
        assert redis_client.xlen(keys.requests) == 0

    def test_a_process_that_is_killed_leaves_nobody_waiting(
        self, api: httpx.Client, worker: LazyWorker, redis_server: RedisServer, redis_client: redis.Redis, keys: Keys
    ) -> None:
        """Its heartbeat would last an hour; the end of its connection shows that it is gone."""
        first, _ = worker.visible
        with worker_process(redis_server.url, keys) as process:
            assert get(api, "/status")["heartbeat"]
            with contextlib.ExitStack() as readers:
                works: list[Callable[[], dict[str, Any]]] = [
                    lambda: get(api, f"/predict/n0?{MINUTE}"),
                    lambda: get(api, f"/predict/n1?{MINUTE}"),
                    lambda: post(api, NODES[:3], MINUTE)[2],
                ]
                answers = [readers.enter_context(in_background(work)) for work in works]
                until(lambda: redis_client.xlen(keys.requests) > 0 and not any(found.done() for found in answers))
                process.kill()
                for found in answers:
                    assert check(found.result(timeout=30), worker.engine) == first
        assert redis_client.exists(keys.heartbeat)
        assert not get(api, "/status")["heartbeat"]
        assert api.get("/health/predicting").json() == {"predicting": True, "worker": False}
        assert shows(api, "olad_worker_up", 0)
        assert parse_position(get(api, f"/predict/n0?{MINUTE}")["position"]) == first

    def test_a_position_that_the_row_does_not_reach(self, api: httpx.Client, worker: LazyWorker) -> None:
        first, last = (f"{ms}-{sequence}" for ms, sequence in worker.visible)
        for query in (f"min_position={last}", f"min_position={last}&{MINUTE}"):
            for answer in (api.get(f"/predict/n0?{query}"), api.post(f"/predict?{query}", json={"nodes": NODES})):
                body = assert_problem(answer, 504, "position-not-reached")
                assert body["position"] == first
                assert "'n0'" in str(body["detail"])
        for node in ("n0", "n9"):
            get(api, f"/predict/{node}?min_position={first}")
        get(api, f"/predict/n9?min_position={last}")


class TestAsking:
    def test_a_marked_row_is_renewed(self, api: httpx.Client, worker: LazyWorker) -> None:
        worker.live()
        with worker.answering():
            for path in ("/predict/n0", f"/predict/n1?{MINUTE}"):
                assert check(get(api, path), worker.engine) == worker.visible[1]
            assert worker.seen == [("n0",), ("n1",)]
            assert {check(answer, worker.engine) for answer in post(api, NODES)} == {worker.visible[1]}
            assert worker.seen[2:] == [("n2", "n3", "n4")]
            get(api, "/predict/n0")
            assert len(worker.seen) == 3

    def test_without_a_wait_it_is_asked_for_but_not_waited_for(self, api: httpx.Client, worker: LazyWorker) -> None:
        worker.live()
        first, last = worker.visible
        assert check(get(api, "/predict/n0?timeout_ms=0"), worker.engine) == first
        assert worker.answer() == 1
        assert check(get(api, "/predict/n0?timeout_ms=0"), worker.engine) == last

    def test_a_worker_that_does_not_answer_in_time(self, api: httpx.Client, worker: LazyWorker) -> None:
        worker.live()
        first, last = worker.visible
        assert check(get(api, "/predict/n0?timeout_ms=30"), worker.engine) == first
        assert [check(answer, worker.engine) for answer in post(api, NODES, "timeout_ms=30")] == [first] * 5 + [
            last
        ] * 5
        answer = api.get(f"/predict/n0?timeout_ms=30&min_position={last[0]}-{last[1]}")
        assert assert_problem(answer, 504, "position-not-reached")["position"] == f"{first[0]}-{first[1]}"
        assert shows(api, "olad_api_waiting", 0)

    def test_a_row_that_is_marked_again_meanwhile_is_late_enough(self, api: httpx.Client, worker: LazyWorker) -> None:
        worker.live()
        for read in (lambda: get(api, f"/predict/n0?{MINUTE}"), lambda: post(api, NODES, MINUTE)[0]):
            visible = worker.visible[-1]
            with in_background(read) as answer:
                until(lambda: worker.answer(between=("n0",)) == 1)
                assert "n0" in worker.engine.marked
                assert check(answer.result(), worker.engine) == visible

    def test_the_row_is_requested_while_its_position_is_awaited(self, api: httpx.Client, worker: LazyWorker) -> None:
        worker.live()
        ms, sequence = worker.visible[-1]
        with in_background(lambda: get(api, f"/predict/n9?{MINUTE}&min_position={ms + 1}-{sequence}")) as answer:
            until(lambda: worker.answer() == 1)
            assert worker.seen == [("n9",)]
            worker.engine.apply((), ["n9"])
            while worker.engine.position < (ms + 1, sequence):
                worker.engine.apply(["n8"])
            worker.engine.ask(["n9"])
            worker.publish()
            assert check(answer.result(), worker.engine) >= (ms + 1, sequence)
        assert worker.seen == [("n9",)]

    def test_a_row_that_is_computed_after_the_answer(
        self, api: httpx.Client, worker: LazyWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worker.live()
        monkeypatch.setattr(api_waiting, "_LATER_S", 60.0)
        wanted = worker.visible[-1]
        worker.engine.later = {"n0"}
        with in_background(lambda: post(api, NODES, MINUTE)) as answers:
            until(lambda: worker.answer() == 1)
            assert "n0" in worker.engine.marked
            worker.engine.later = set()
            worker.engine.ask(["n0"])
            worker.publish()
            assert {check(answer, worker.engine) for answer in answers.result()} == {wanted}
        assert worker.seen == [tuple(NODES[:5])]

    @pytest.mark.parametrize("query", [MINUTE, "timeout_ms=100"])
    def test_a_row_that_is_not_computed_is_answered_as_it_is(
        self, api: httpx.Client, worker: LazyWorker, query: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worker.live()
        monkeypatch.setattr(api_waiting, "_LATER_S", 0.05)
        worker.engine.later = {"n0"}
        with in_background(lambda: get(api, f"/predict/n0?{query}")) as answer:
            until(lambda: worker.answer() == 1)
            assert check(answer.result(), worker.engine) == worker.visible[0]

    def test_a_reader_of_a_position_waits_for_it_as_long_as_it_has(
        self, api: httpx.Client, worker: LazyWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worker.live()
        monkeypatch.setattr(api_waiting, "_LATER_S", 0.0)
        wanted = worker.visible[-1]
        worker.engine.later = {"n0"}
        with in_background(lambda: get(api, f"/predict/n0?min_position={wanted[0]}-{wanted[1]}&{MINUTE}")) as answer:
            until(lambda: worker.answer() == 1)
            worker.engine.later = set()
            worker.engine.ask(["n0"])
            worker.publish()
            assert check(answer.result(), worker.engine) == wanted

    def test_a_node_that_leaves_meanwhile(self, api: httpx.Client, worker: LazyWorker) -> None:
        worker.live()
        with in_background(lambda: api.get(f"/predict/n0?{MINUTE}")) as answer:
            until(lambda: shows(api, "olad_api_waiting", 1))
            worker.engine.apply((), (), ["n0"])
            until(lambda: worker.answer() == 1)
            body = assert_problem(answer.result(), 404, "unknown-node")
        assert parse_position(str(body["position"])) == worker.visible[-1]

    def test_readers_of_one_moment_are_one_request(
        self, redis_server: RedisServer, worker: LazyWorker, graph: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(request_writer, "_BELIEVED_S", 60.0)
        worker.live()
        with serving(redis_server.url, graph) as api, ThreadPoolExecutor(40) as pool:
            answers = [pool.submit(get, api, f"/predict/{node}?{MINUTE}") for node in NODES[:5] * 8]
            until(lambda: shows(api, "olad_api_waiting", 40))
            until(lambda: worker.answer() + len(worker.engine.marked) == 0)
            assert {check(answer.result(), worker.engine) for answer in answers} == {worker.visible[1]}
        asked = [node for nodes in worker.seen for node in nodes]
        assert {*asked} == {*NODES[:5]}
        # A second time only by those who came while the first request was on its way to Redis.
        assert max(map(asked.count, asked)) <= 2

    @pytest.mark.parametrize("marked", [(), NODES[:5]])
    def test_another_version_is_served_meanwhile(
        self, api: httpx.Client, worker: LazyWorker, marked: list[str]
    ) -> None:
        worker.live()
        wanted = worker.visible[-1]
        with in_background(lambda: post(api, NODES, MINUTE)) as answers:
            until(lambda: shows(api, "olad_api_waiting", 1))
            # The new version's rows are marked again, or are not.
            worker.engine.ask(set(NODES) - {*marked})
            worker.engine.next_version()
            worker.publish()
            assert not answers.done()
            with worker.answering():
                found = answers.result()
        assert {answer["model_version"] for answer in found} == {2}
        assert all(check(answer, worker.engine) >= wanted for answer in found)

    def test_a_worker_that_starts_anew_answers_what_an_earlier_one_left(
        self, api: httpx.Client, worker: LazyWorker, redis_client: redis.Redis, keys: Keys
    ) -> None:
        worker.live()
        wanted = worker.visible[-1]
        with in_background(lambda: get(api, f"/predict/n0?{MINUTE}")) as answer:
            until(lambda: shows(api, "olad_api_waiting", 1))
            again = LazyWorker(redis_client, keys, worker.engine)
            again.visible = worker.visible
            again.engine.republish()
            again.publish()
            assert not answer.done()
            assert again.answer() == 1
            assert check(answer.result(), worker.engine) == wanted

    def test_many_rows_are_asked_for_in_parts(
        self, api: httpx.Client, worker: LazyWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api_waiting, "_NODES_AT_ONCE", 2)
        worker.live()
        with worker.answering():
            found = post(api, NODES, MINUTE)
        assert {check(answer, worker.engine) for answer in found} == {worker.visible[1]}
        assert worker.seen == [("n0", "n1"), ("n2", "n3"), ("n4",)]

    def test_an_answer_that_does_not_help_ends_the_wait(
        self, api: httpx.Client, worker: LazyWorker, redis_client: redis.Redis, keys: Keys
    ) -> None:
        worker.live()
        with in_background(lambda: get(api, f"/predict/n0?{MINUTE}")) as answer:
            until(lambda: redis_client.xlen(keys.requests) == 1)
            redis_client.hset(keys.served, "answered", "9999999999999-0")
            assert check(answer.result(), worker.engine) == worker.visible[0]

    def test_a_position_and_a_marked_row_share_the_time(self, api: httpx.Client, worker: LazyWorker) -> None:
        worker.live()
        position = worker.engine.position
        query = f"min_position={position[0] + 1}-0&{MINUTE}"
        with in_background(lambda: get(api, f"/predict/n9?{query}")) as answer:
            until(lambda: shows(api, "olad_api_waiting", 1))
            while worker.engine.position[0] == position[0]:
                worker.engine.apply((), NODES)
            worker.publish()
            with worker.answering():
                assert check(answer.result(), worker.engine) >= (position[0] + 1, 0)


class TestRefused:
    """Where the request cannot be written the answer is the older one."""

    @pytest.fixture
    def refusing(self, own_redis_server: RedisServer, keys: Keys, graph: str) -> Iterator[tuple[httpx.Client, Any]]:
        with own_redis_server.client() as client:
            worker = with_marks(client, keys)
            worker.live()
            with serving(own_redis_server.url, graph) as api:
                yield api, (client, worker)

    @pytest.mark.parametrize("why", ["memory", "replica", "permission"])
    def test_it_is_answered_all_the_same(self, refusing: tuple[httpx.Client, Any], why: str, keys: Keys) -> None:
        api, (client, worker) = refusing
        get(api, "/predict/n9")
        if why == "memory":
            client.config_set("maxmemory", 1)
        elif why == "replica":
            client.replicaof("127.0.0.1", 1)
        else:
            client.execute_command("ACL", "SETUSER", "default", "-xadd")
        first, last = worker.visible
        for path in ("/predict/n0", f"/predict/n0?{MINUTE}"):
            assert check(get(api, path), worker.engine) == first
        assert [check(answer, worker.engine) for answer in post(api, NODES)] == [first] * 5 + [last] * 5
        late = api.get(f"/predict/n0?min_position={last[0]}-{last[1]}&{MINUTE}")
        assert_problem(late, 504, "position-not-reached")

    def test_so_it_is_where_too_many_wait(self, redis_server: RedisServer, worker: LazyWorker, graph: str) -> None:
        worker.live()
        with serving(redis_server.url, graph, max_waiting=1) as api, ThreadPoolExecutor(1) as pool:
            waits = pool.submit(get, api, f"/predict/n0?{MINUTE}")
            until(lambda: shows(api, "olad_api_waiting", 1))
            assert check(get(api, f"/predict/n0?{MINUTE}"), worker.engine) == worker.visible[0]
            until(lambda: worker.answer() > 0)
            until(lambda: worker.answer() > 0 or waits.done())
            assert check(waits.result(), worker.engine) == worker.visible[1]


@pytest.mark.parametrize("seed", range(4))
def test_random_reads_among_random_events(api: httpx.Client, redis_client: redis.Redis, keys: Keys, seed: int) -> None:
    """Every answer is right at the position that it names, which is not before what was visible when it was asked."""
    random = Random(seed)
    worker = LazyWorker(redis_client, keys, LazyEngine(random))
    engine = worker.engine
    engine.apply(NODES)
    worker.publish()
    worker.live()
    answers: list[tuple[tuple[int, int], dict[str, Any]]] = []
    stop = threading.Event()

    def read(own: Random) -> None:
        while not stop.is_set():
            visible = worker.visible[-1]
            nodes = own.choices(NODES, k=own.randint(1, 12))
            query = f"{MINUTE}&min_position={visible[0]}-{visible[1]}" if own.random() < 0.3 else MINUTE
            if len(nodes) > 3:
                found = post(api, nodes, query)
            else:
                answer = api.get(f"/predict/{nodes[0]}", params=query if own.random() < 0.5 else "")
                found = [answer.json()] if answer.status_code == 200 else []
                assert answer.status_code in {200, 404}
            answers.extend((visible, one) for one in found)

    with ThreadPoolExecutor(6) as pool, worker.answering():
        readers = [pool.submit(read, Random(seed * 10 + number)) for number in range(6)]
        try:
            for _ in range(60):
                near, far, gone = (random.sample(NODES, random.randint(0, most)) for most in (1, 6, 1))
                with worker.lock:
                    engine.apply(near, set(far) - {*near}, gone if random.random() < 0.2 else ())
                    if random.random() < 0.1:
                        engine.next_version()
                    worker.publish()
                time.sleep(random.random() * 0.01)
        finally:
            stop.set()
        for reader in readers:
            reader.result()
    assert len(answers) > 100
    for visible, answer in answers:
        position = check(answer, engine)
        assert position >= visible
        assert 0 <= answer["behind"] <= engine.applied - engine.applied_at[position]
