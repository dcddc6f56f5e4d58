"""Predictions from real replicas of Redis, which fall behind, come back and end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from random import Random
from typing import Any

import httpx
import pytest
import redis

from service.store.connection import connect
from service.store.keys import Keys
from service.store.positions import parse_position
from service.store.prediction_reader import PredictionReader, Snapshot
from service.store.prediction_writer import PredictionWriter
from service.store.read_replicas import FOLLOW_S, ReadReplicas
from tests.chaos.workers import until
from tests.redis_groups import Group, Server, cluster, group, watched
from tests.service.api.serving import assert_problem, serving
from tests.service.lazy_worker import LazyEngine, LazyWorker, shares
from tests.service.publications import publication
from tests.service.store.test_marked_rows import NODES, change

pytestmark = pytest.mark.timeout(120)


class Trio:
    """A primary and two replicas."""

    def __init__(self, running: Group) -> None:
        self.primary = running.start()
        self.replicas = [running.start(f"replicaof 127.0.0.1 {self.primary.port}") for _ in range(2)]
        until(lambda: all(self.follows(one) for one in self.replicas), 30)
        self.client = self.primary.client()

    @property
    def url(self) -> str:
        return f"redis://{self.primary.address}/0"

    @property
    def read_urls(self) -> list[str]:
        return [f"redis://{one.address}/0" for one in self.replicas]

    @staticmethod
    def follows(replica: Server) -> bool:
        return replica.info().get("master_link_status") == "up"

    def hold(self, replica: Server) -> None:
        """Let it have nothing new from now on, and answer as before."""
        with replica.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", 1)

    def resume(self, replica: Server) -> None:
        with replica.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", self.primary.port)

    def wait_until_same(self) -> None:
        self.client.wait(2, 5000)


@pytest.fixture(scope="module")
def trio() -> Iterator[Trio]:
    with group() as running:
        yield Trio(running)


@pytest.fixture
def own_trio() -> Iterator[Trio]:
    with group() as running:
        yield Trio(running)


@contextlib.asynccontextmanager
async def reading(trio: Trio, keys: Keys) -> AsyncIterator[tuple[ReadReplicas, Counter[str]]]:
    """The reader of the API, and what became of its reads."""
    primary, *others = clients = [connect(url, keys) for url in (trio.url, *trio.read_urls)]
    readers = ReadReplicas(primary, keys, PredictionReader(primary, keys), others)
    found: Counter[str] = Counter()
    readers.note = lambda outcome: found.update([outcome])
    following = asyncio.create_task(readers.follow())
    try:
        yield readers, found
    finally:
        following.cancel()
        for client in clients:
            await client.aclose()


def compare(snapshot: Snapshot, asked: list[str], engine: LazyEngine) -> None:
    """Each row is what the graph had at the position that it names."""
    for node, row, moment in zip(asked, snapshot.rows, snapshot.moments, strict=True):
        value = engine.value_at(node, parse_position(moment.position))
        if row is None or value is None:
            assert (row, value) == (None, None)
        else:
            assert snapshot.model is not None
            assert snapshot.model.rows.decode(row).probabilities == shares(value)


@pytest.mark.parametrize("seed", range(3))
async def test_every_answer_is_right_at_the_position_that_it_names_and_none_is_too_early(
    trio: Trio, keys: Keys, seed: int
) -> None:
    random = Random(seed)
    worker = LazyWorker(trio.client, keys, LazyEngine(random))
    held: set[int] = set()
    async with reading(trio, keys) as (readers, found):
        for _ in range(40):
            change(worker, random)
            worker.publish()
            number = random.randrange(2)
            if random.random() < 0.2:
                (trio.resume if number in held else trio.hold)(trio.replicas[number])
                held ^= {number}
            least = worker.engine.position if random.random() < 0.5 else None
            for snapshot, asked in (
                (await readers.read(NODES, least=least), NODES),
                (await readers.read_one(NODES[number], least), [NODES[number]]),
            ):
                compare(snapshot, asked, worker.engine)
                if least is not None:
                    assert parse_position(snapshot.visible.position) >= least
            await asyncio.sleep(random.choice([0, 0, 0.02, FOLLOW_S]))
    for replica in trio.replicas:
        trio.resume(replica)
    until(lambda: all(trio.follows(replica) for replica in trio.replicas), 30)
    assert found["behind"]
    assert found["marked"]
    trio.client.delete(*trio.client.keys(f"olad:[{{]{keys.graph}[}}]:*"))


async def test_a_replica_that_is_behind_is_not_used(trio: Trio, keys: Keys) -> None:
    writer = PredictionWriter(trio.client, keys)
    writer.start()
    writer.publish(publication("1-0", {"a": [1.0, 0.0]}))
    trio.wait_until_same()
    async with reading(trio, keys) as (readers, found):
        assert (await readers.read_one("a")).visible.position == "1-0"
        assert found == {"served": 1}
        for replica in trio.replicas:
            trio.hold(replica)
        writer.publish(publication("2-0", {"a": [0.0, 1.0]}, applied=4))
        trio.client.set(keys.appended, 9)
        await asyncio.sleep(3 * FOLLOW_S)
        found.clear()
        snapshot = await readers.read_one("a")
        assert (snapshot.visible.position, snapshot.visible.behind) == ("2-0", 5)
        assert found["served"] == 0
        for replica in trio.replicas:
            trio.resume(replica)
        until(lambda: all(trio.follows(replica) for replica in trio.replicas), 30)
        await asyncio.sleep(2 * FOLLOW_S)
        found.clear()
        snapshot = await readers.read_one("a")
        assert (snapshot.visible.position, snapshot.visible.behind) == ("2-0", 5)
        assert found == {"served": 1}


class TestOverHttp:
    @pytest.fixture
    def api(self, own_trio: Trio, graph: str) -> Iterator[httpx.Client]:
        # A list, as variables have it: separated by commas.
        with serving(own_trio.url, graph, redis_read_urls=",".join(own_trio.read_urls)) as client:
            yield client

    def outcomes(self, api: httpx.Client) -> dict[str, float]:
        lines = api.get("/metrics").text.splitlines()
        found = [line for line in lines if line.startswith("olad_api_replica_reads_total{")]
        return {line.partition('outcome="')[2].partition('"')[0]: float(line.split()[1]) for line in found}

    def test_reads_survive_replicas_and_primary(self, own_trio: Trio, keys: Keys, api: httpx.Client) -> None:
        writer = PredictionWriter(own_trio.client, keys)
        writer.start()
        writer.publish(publication("1-0", {"a": [1.0, 0.0]}))
        own_trio.wait_until_same()

        def read(**query: Any) -> str:
            answer = api.get("/predict/a", params=query)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["position"])

        assert [read() for _ in range(4)] == ["1-0"] * 4
        assert self.outcomes(api)["served"] == 4
        assert api.post("/predict", json={"nodes": ["a"]}).json()["predictions"][0]["position"] == "1-0"
        for replica in own_trio.replicas:
            own_trio.hold(replica)
        writer.publish(publication("2-0", {"a": [0.0, 1.0]}))
        assert [read(min_position="2-0") for _ in range(4)] == ["2-0"] * 4
        assert_problem(
            api.get("/predict/a", params={"min_position": "3-0", "timeout_ms": 50}), 504, "position-not-reached"
        )
        # Without a position the replicas may answer for half a second more.
        until(lambda: {read() for _ in range(4)} == {"2-0"}, 10)
        for replica in own_trio.replicas:
            own_trio.resume(replica)
        until(lambda: all(own_trio.follows(replica) for replica in own_trio.replicas), 30)

        own_trio.replicas[0].kill()
        os.kill(own_trio.replicas[1].process.pid, signal.SIGSTOP)
        until(lambda: read() == "2-0" and self.outcomes(api)["unavailable"] >= 2, 30)
        os.kill(own_trio.replicas[1].process.pid, signal.SIGCONT)

        own_trio.primary.kill()

        def answered_by_the_replica() -> bool:
            answer = api.get("/predict/a")
            return answer.status_code == 200 and answer.json()["position"] == "2-0"

        until(answered_by_the_replica, 30)
        assert api.get("/health/predicting").json() == {"predicting": True, "worker": False}
        assert api.post("/events", json=[{"op": "upsert_node", "id": "a"}]).status_code == 503


def test_a_replica_of_a_cluster_and_of_sentinels_is_found(keys: Keys) -> None:
    with cluster(keys.log) as (url, owner, replicas, _):
        asyncio.run(_reads_from(url, owner, keys, {one.port for one in replicas}))
    with watched(replicas=1) as (url, primary, replicas):
        asyncio.run(_reads_from(url, primary, keys, {replicas[0].port}))


async def _reads_from(url: str, primary: Server, keys: Keys, ports: set[int]) -> None:
    with primary.client() as client:
        writer = PredictionWriter(client, keys)
        writer.start()
        writer.publish(publication("1-0", {"a": [1.0, 0.0]}))
        client.execute_command("WAIT", len(ports), 5000)
    seen = set()
    for _ in range(len(ports)):
        found = connect(url, keys, "replica")
        snapshot = await PredictionReader(found, keys).read(["a"])
        assert snapshot.visible.position == "1-0"
        assert snapshot.rows[0] is not None
        info: Any = await found.info("server")
        seen.add(info["tcp_port"])
        with pytest.raises(redis.exceptions.ResponseError):
            await found.set(keys.probe, 1)
        await found.aclose()
    assert seen <= ports
