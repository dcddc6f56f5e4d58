"""Errors of Redis, provoked in a real one where that can be done: 503 in the API; the worker waits, or ends with 78."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
import redis
from typer.testing import CliRunner

from service.cli import app
from service.exit_codes import REFUSES
from service.store.keys import Keys
from service.store.redis_refusals import TABLE, refusal
from tests.chaos.workers import ForkedWorker, Nursery, is_visible, until
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving
from tests.service.entries import append, random_entries
from tests.service.fake_redis import answering

EDGE = {"op": "upsert_edge", "src": "a", "dst": "b"}
REQUESTS = (
    ("POST", "/events", [EDGE]),
    ("PUT", "/schema", {"classes": ["a"]}),
    ("GET", "/schema", None),
    ("GET", "/status", None),
    ("GET", "/students", None),
    ("GET", "/events/rejected", None),
    ("GET", "/predict/a", None),
    ("GET", "/predict/a?min_position=9999999999999-0&timeout_ms=100", None),
    ("POST", "/predict", {"nodes": ["a"]}),
)
Provoke = Callable[[redis.Redis, RedisServer], AbstractContextManager[None]]


@contextlib.contextmanager
def config(client: redis.Redis, **changes: object) -> Iterator[None]:
    before = {name: client.config_get(name)[name] for name in changes}
    for name, value in changes.items():
        client.config_set(name, str(value))
    try:
        yield
    finally:
        for name, value in before.items():
            client.config_set(name, str(value))


def acl(client: redis.Redis, *arguments: str) -> None:
    client.execute_command("ACL", *arguments)  # type: ignore[no-untyped-call]


def is_busy(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.ResponseError as error:
        return refusal(error).code == "BUSY"
    return False


@contextlib.contextmanager
def busy(client: redis.Redis, server: RedisServer) -> Iterator[None]:
    def run() -> None:
        with server.client() as other, contextlib.suppress(redis.RedisError):
            other.eval("while true do end", 0)

    with config(client, **{"lua-time-limit": 1}):
        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: is_busy(client))
        try:
            yield
        finally:
            client.script_kill()
            thread.join()


def no_memory(client: redis.Redis, _: RedisServer) -> AbstractContextManager[None]:
    return config(client, maxmemory=1)


def no_replicas(client: redis.Redis, _: RedisServer) -> AbstractContextManager[None]:
    return config(client, **{"min-replicas-to-write": 1})


@contextlib.contextmanager
def read_only(client: redis.Redis, _: RedisServer) -> Iterator[None]:
    client.replicaof("127.0.0.1", 1)
    try:
        yield
    finally:
        client.replicaof("NO", "ONE")


@contextlib.contextmanager
def primary_down(client: redis.Redis, server: RedisServer) -> Iterator[None]:
    with config(client, **{"replica-serve-stale-data": "no"}), read_only(client, server):
        yield


@contextlib.contextmanager
def no_clients(client: redis.Redis, _: RedisServer) -> Iterator[None]:
    with config(client, maxclients=1):
        client.client_kill_filter(_type="normal", skipme=True)
        yield


@contextlib.contextmanager
def nothing_allowed(client: redis.Redis, _: RedisServer) -> Iterator[None]:
    acl(client, "SETUSER", "default", "-@all", "+acl", "+config", "+client")
    try:
        yield
    finally:
        acl(client, "SETUSER", "default", "+@all")


@contextlib.contextmanager
def no_writes_allowed(client: redis.Redis, _: RedisServer) -> Iterator[None]:
    acl(client, "SETUSER", "default", "-@write")
    try:
        yield
    finally:
        acl(client, "SETUSER", "default", "+@all")


@contextlib.contextmanager
def a_password(client: redis.Redis, _: RedisServer) -> Iterator[None]:
    client.config_set("requirepass", "x")
    client.client_kill_filter(_type="normal", skipme=True)
    try:
        yield
    finally:
        client.config_set("requirepass", "")


PASSING: list[Provoke] = [busy, no_memory, no_replicas, read_only, primary_down, no_clients]
LASTING: list[Provoke] = [nothing_allowed, no_writes_allowed, a_password]


@contextlib.contextmanager
def one_connection(server: RedisServer) -> Iterator[redis.Redis]:
    """A client that keeps the connection it has."""
    with redis.Redis.from_url(server.url, single_connection_client=True, socket_timeout=30) as client:
        client.ping()
        yield client


def ask_everything(api: httpx.Client) -> list[int]:
    statuses = []
    for method, path, body in REQUESTS:
        answer = api.request(method, path, json=body)
        statuses.append(answer.status_code)
        assert answer.status_code < 500 or answer.status_code in {503, 504}, (path, answer.text)
        if answer.status_code == 503 and "no-model" not in answer.text:
            assert "redis-unavailable" in answer.text, (path, answer.text)
            assert int(answer.headers["retry-after"]) > 0
    return statuses


@pytest.mark.parametrize("provoke", PASSING + LASTING)
def test_the_api_answers_503_and_goes_on_afterwards(
    own_redis_server: RedisServer, graph: str, provoke: Provoke
) -> None:
    with one_connection(own_redis_server) as client, serving(own_redis_server.url, graph) as api:
        assert api.post("/events", json=[EDGE]).status_code == 202
        with provoke(client, own_redis_server):
            answer = api.post("/events", json=[EDGE])
            if provoke is not no_memory:
                assert len(str(assert_problem(answer, 503, "redis-unavailable")["detail"])) > 30
            assert answer.status_code in {429, 503}
            assert int(answer.headers["retry-after"]) > 0
            ask_everything(api)
            assert api.get("/health/live").status_code == 200
        until(lambda: api.post("/events", json=[EDGE]).status_code == 202)
        assert api.get("/status").status_code == 200


@pytest.mark.parametrize("provoke", PASSING)
def test_the_worker_waits_and_goes_on_by_itself(
    own_redis_server: RedisServer, nursery: Nursery, keys: Keys, tmp_path: Path, provoke: Provoke
) -> None:
    entries = random_entries(4, seed=2)
    worker = ForkedWorker(nursery, own_redis_server.url, keys, tmp_path)
    try:
        worker.start()
        with one_connection(own_redis_server) as client:
            append(client, keys, entries[:2])
            worker.wait_until_visible(client, "2-0")
            with provoke(client, own_redis_server):
                until(lambda: worker.logged("Redis cannot be used, trying again"))
            append(client, keys, entries[2:], first=3)
            until(lambda: is_visible(client, keys, "4-0"))
        assert worker.terminate() == 0, worker.log.read_text()
    finally:
        worker.close()
    assert not worker.logged("Traceback")


@pytest.mark.parametrize("provoke", LASTING)
@pytest.mark.parametrize("when", ["before", "while running"])
def test_the_worker_ends_with_78_where_a_person_must_act(
    own_redis_server: RedisServer, nursery: Nursery, keys: Keys, tmp_path: Path, provoke: Provoke, when: str
) -> None:
    worker = ForkedWorker(nursery, own_redis_server.url, keys, tmp_path)
    try:
        with one_connection(own_redis_server) as client:
            if when == "while running":
                worker.start()
                append(client, keys, random_entries(2, seed=2))
                worker.wait_until_visible(client, "2-0")
            with provoke(client, own_redis_server):
                if when == "before":
                    worker.start()
                assert worker.wait() == REFUSES, worker.log.read_text()
    finally:
        worker.close()
    assert worker.logged("the worker cannot go on, and starting it again does not help")
    assert not worker.logged("Traceback")


ERRORS = {
    b"-LOADING Redis is loading the dataset in memory": True,
    b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.": True,
    b"-CLUSTERDOWN Hash slot not served": True,
    b"-TRYAGAIN Multiple keys request during rehashing of slot": True,
    b"-ASK 866 127.0.0.1:7001": True,
    b"-MOVED 866 127.0.0.1:7001": False,
    b"-CROSSSLOT Keys in request don't hash to the same slot": False,
    b"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.": True,
    b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)": True,
    b"-EXECABORT Transaction discarded because of previous errors.": True,
    b"-NOSCRIPT No matching script. Please use EVAL.": True,
    b"-INPROG Failover already in progress": True,
    b"-ERR max number of clients reached": True,
    b"-NOAUTH Authentication required.": False,
    b"-WRONGPASS invalid username-password pair or user is disabled.": False,
    b"-NOPERM this user has no permissions to run the 'xadd' command": False,
    b"-DENIED Redis is running in protected mode": False,
    b"-WRONGTYPE Operation against a key holding the wrong kind of value": False,
    b"-ERR unknown command 'EVALSHA'": False,
    b"-ERR DB index is out of range": False,
    b"HTTP/1.1 400 Bad Request": True,
}


@pytest.mark.parametrize(("line", "passes"), ERRORS.items(), ids=[line.decode()[1:12] for line in ERRORS])
def test_errors_that_are_hard_to_provoke(
    nursery: Nursery, keys: Keys, tmp_path: Path, line: bytes, passes: bool
) -> None:
    with answering(line) as url:
        worker = ForkedWorker(nursery, url, keys, tmp_path)
        try:
            worker.start()
            with serving(url, keys.graph) as api:
                assert set(ask_everything(api)) == {503}
                assert api.get("/health/live").status_code == 200
                assert api.get("/health/ready").status_code == 503
                ended = CliRunner().invoke(app, ["status", "--url", str(api.base_url)])
                assert ended.exit_code == 1
            if passes:
                until(lambda: worker.logged("Redis cannot be used, trying again"))
                assert worker.terminate() == 0
            else:
                assert worker.wait() == REFUSES, worker.log.read_text()
        finally:
            worker.close()
        assert not worker.logged("Traceback")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "redis://no-such-host.invalid:6379", "unix:///no/such.sock"])
def test_a_redis_that_is_not_there_is_waited_for(nursery: Nursery, keys: Keys, tmp_path: Path, url: str) -> None:
    worker = ForkedWorker(nursery, url, keys, tmp_path)
    try:
        worker.start()
        with serving(url, keys.graph) as api:
            assert set(ask_everything(api)) == {503}
        until(lambda: worker.logged("Redis cannot be used, trying again"))
        assert worker.terminate() == 0
    finally:
        worker.close()


def test_a_code_in_a_key_of_a_pipeline_is_no_code() -> None:
    error = redis.ResponseError(
        "Command # 1 (GET olad:{BUSY}:schema) of pipeline caused error: WRONGTYPE Operation against a key"
    )
    assert refusal(error) is TABLE["WRONGTYPE"]
