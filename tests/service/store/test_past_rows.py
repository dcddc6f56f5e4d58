"""What was served at earlier positions, compared with what readers were answered then."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as Unreachable

from olad_core.tasks.label_rule import LabelRule
from service.store import past_rows
from service.store.connection import connect
from service.store.keys import Keys
from service.store.past_rows import NotKept, PastReader, PastRow
from service.store.positions import PositionPair, parse_position
from service.store.prediction_reader import PredictionReader, Snapshot
from service.store.transaction import Transaction
from tests.redis_server import RedisServer
from tests.service.lazy_worker import LazyEngine, LazyWorker
from tests.service.store.test_marked_rows import NODES, change

PLENTY = 10**6


@pytest.fixture(scope="module")
def client(redis_server: RedisServer) -> redis.Redis:
    return redis_server.client()


class Past:
    """A worker that keeps the past, and every answer that readers got, by the position that they saw."""

    def __init__(self, client: redis.Redis, keys: Keys, random: Random, most_rows: int) -> None:
        self.client, self.keys, self.random, self.most_rows = client, keys, random, most_rows
        self.worker = LazyWorker(client, keys, LazyEngine(random), most_rows)
        self.seen: dict[PositionPair, Snapshot] = {}

    async def turn(self, reader: PredictionReader) -> None:
        """Anything that a worker may do, one publication, and what readers are answered after it."""
        engine = self.worker.engine
        change(self.worker, self.random)
        if self.random.random() < 0.1:
            engine.rule = LabelRule(thresholds={"a": round(self.random.random(), 2)})
        if self.random.random() < 0.1:
            self.restart()
        self.worker.publish()
        self.seen[engine.position] = await reader.read(NODES)

    def restart(self) -> None:
        """Another start of the worker, which publishes everything into tables of its own."""
        engine = self.worker.engine
        self.worker = LazyWorker(self.client, self.keys, engine, self.most_rows)
        engine.republish()

    def kept(self) -> int:
        """Rows that Redis holds beside those that readers see."""
        found: Any = self.client.hget(self.keys.served, "table")
        tables = {*self.client.keys(self.keys.predictions("*").replace("{", "[{]"))}
        old = tables - {self.keys.predictions(found.decode()).encode()}
        pages = self.client.keys(self.keys.past_rows("*").replace("{", "[{]"))
        return sum(int(self.client.hlen(key)) for key in [*old, *pages])

    def clear(self) -> None:
        self.client.delete(*self.client.keys(f"olad:[{{]{self.keys.graph}[}}]:*"))


def same(found: PastRow, then: Snapshot, place: int) -> bool:
    assert then.model is not None
    ours, theirs = found.model, then.model
    moment = then.moments[place]
    return (
        found.row == then.rows[place]
        and found.marked == (place in then.marked)
        and found.moment.position == moment.position
        and (ours.version, ours.student, ours.classes) == (theirs.version, theirs.student, theirs.classes)
        and (found.row is None or _label(found.row, ours) == _label(found.row, theirs))
    )


def _label(row: bytes, model: Any) -> Any:
    decided = model.decided([row])
    return None if decided is None else decided.tolist()


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), most_rows=st.sampled_from([PLENTY, 60]), writes=st.sampled_from([2, 500]))
async def test_what_was_answered_at_a_position_is_answered_again_or_is_not_kept_any_more(
    redis_server: RedisServer, client: redis.Redis, seed: int, most_rows: int, writes: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(past_rows, "WRITES_PER_PAGE", writes)
        await compare_with_the_past(redis_server, client, seed, most_rows)


async def compare_with_the_past(redis_server: RedisServer, client: redis.Redis, seed: int, most_rows: int) -> None:
    random = Random(seed)
    past = Past(client, Keys(f"past-{seed}-{random.random()}"), random, most_rows)
    async with connect(redis_server.url, past.keys) as reading:
        reader, earlier = PredictionReader(reading, past.keys), PastReader(reading, past.keys)
        for _ in range(25):
            await past.turn(reader)
        kept = 0
        for position, then in past.seen.items():
            for place, node in enumerate(NODES):
                found = await earlier.read(node, position)
                if isinstance(found, NotKept):
                    assert most_rows != PLENTY
                    assert found.oldest is not None
                    assert parse_position(found.oldest) > position
                else:
                    assert same(found, then, place)
                    kept += 1
        assert kept
        newest = max(past.seen)
        later = await earlier.read("n0", (newest[0] + 1, 0))
        assert later == NotKept(visible=f"{newest[0]}-{newest[1]}")
    # A page may be as large as what one publication overwrites.
    assert past.kept() <= most_rows + 3 * len(NODES)
    past.clear()


async def test_positions_between_two_publications_are_those_of_the_first(
    redis_server: RedisServer, client: redis.Redis, keys: Keys
) -> None:
    past = Past(client, keys, Random(1), PLENTY)
    engine = past.worker.engine
    async with connect(redis_server.url, keys) as reading:
        reader, earlier = PredictionReader(reading, keys), PastReader(reading, keys)
        engine.apply(["n0"])
        past.worker.publish()
        first = await reader.read(["n0"])
        between = (engine.position[0], engine.position[1] + 3)
        engine.position = (between[0] + 1, 0)
        engine.apply(["n0"])
        past.worker.publish()
        found = await earlier.read("n0", between)
        assert isinstance(found, PastRow)
        assert (found.row, found.moment.position) == (first.rows[0], first.moments[0].position)
        assert await earlier.read("n0", (0, 0)) == NotKept(oldest=first.visible.position)


async def test_a_lost_answer_does_not_change_the_past(
    redis_server: RedisServer, client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    past, run = Past(client, keys, Random(2), PLENTY), Transaction.run

    def answer_lost(transaction: Transaction) -> list[Any]:
        run(transaction)
        raise Unreachable("no answer")

    async with connect(redis_server.url, keys) as reading:
        reader, earlier = PredictionReader(reading, keys), PastReader(reading, keys)
        past.worker.engine.apply(["n0", "n1"])
        past.worker.publish()
        before = await reader.read(NODES)
        position = past.worker.engine.position
        past.worker.engine.apply(["n0"])
        publication = past.worker.engine.publication()
        with monkeypatch.context() as patched:
            patched.setattr(Transaction, "run", answer_lost)
            with pytest.raises(Unreachable):
                past.worker._writer.publish(publication)
        past.worker._writer.publish(publication)
        for place, node in enumerate(NODES):
            found = await earlier.read(node, position)
            assert isinstance(found, PastRow)
            assert same(found, before, place)


async def test_without_a_bound_nothing_is_kept_and_what_was_kept_goes(
    redis_server: RedisServer, client: redis.Redis, keys: Keys
) -> None:
    random = Random(3)
    past = Past(client, keys, random, PLENTY)
    async with connect(redis_server.url, keys) as reading:
        reader, earlier = PredictionReader(reading, keys), PastReader(reading, keys)
        for _ in range(10):
            await past.turn(reader)
        past.worker.engine.next_version()
        past.worker.publish()
        assert past.kept()
        past.most_rows = 0
        past.restart()
        past.worker.publish()
        assert past.kept() == 0
        assert await earlier.read("n0", past.worker.engine.position) == NotKept()
