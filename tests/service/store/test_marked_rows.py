"""Random publications and marks, read back and compared with the graph that made them."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.serving.publication import MARKS_PER_BLOCK, MarkedBlocks
from service.store.connection import connect
from service.store.keys import Keys
from service.store.marks import marked_in, setrange_commands
from service.store.positions import parse_position
from service.store.prediction_reader import PredictionReader, Snapshot
from tests.redis_server import RedisServer
from tests.service.lazy_worker import LazyEngine, LazyWorker, shares

NODES = [f"n{number}" for number in range(12)]
MANY = 40
"""So often each node is asked for, where the whole bitmap is to be read."""


@pytest.fixture(scope="module")
def client(redis_server: RedisServer) -> redis.Redis:
    return redis_server.client()


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
async def test_every_answer_is_right_at_the_position_that_it_names(
    redis_server: RedisServer, client: redis.Redis, seed: int
) -> None:
    random = Random(seed)
    keys = Keys(f"marks-{seed}-{random.random()}")
    worker = LazyWorker(client, keys, LazyEngine(random))
    async with connect(redis_server.url, keys) as reading:
        reader = PredictionReader(reading, keys)
        for _ in range(15):
            change(worker, random)
            worker.publish()
            if random.random() < 0.3:
                client.incrby(keys.appended, 7)
            compare(await reader.read(NODES), NODES, worker.engine, client, keys)
            compare(await reader.read(NODES * MANY), NODES * MANY, worker.engine, client, keys)
            one = random.choice(NODES)
            compare(await reader.read_one(one), [one], worker.engine, client, keys)
    client.delete(*client.keys(f"olad:[{{]{keys.graph}[}}]:*"))


def change(worker: LazyWorker, random: Random) -> None:
    """Anything that a worker may do between two publications."""
    engine = worker.engine
    for _ in range(random.randint(0, 3)):
        near, far, gone = (random.sample(NODES, random.randint(0, most)) for most in (2, 6, 1))
        engine.apply(near, set(far) - {*near}, gone if random.random() < 0.3 else ())
    if not engine.applied:
        engine.apply(["n0"])
    if random.random() < 0.5:
        engine.ask(random.sample(NODES, 4))
    if random.random() < 0.15:
        engine.next_version()


def compare(snapshot: Snapshot, asked: list[str], engine: LazyEngine, client: redis.Redis, keys: Keys) -> None:
    appended = int(client.get(keys.appended) or 0)
    assert snapshot.model is not None
    assert parse_position(snapshot.visible.position) == engine.position
    assert [*snapshot.marked] == [place for place, node in enumerate(asked) if node in engine.marked]
    for node, row, moment in zip(asked, snapshot.rows, snapshot.moments, strict=True):
        held = engine.held.get(node)
        position, applied = engine.position, engine.applied
        if held is None:
            assert row is None
        else:
            assert row is not None
            if node in engine.marked:
                position, applied = held.position, held.applied
            assert snapshot.model.rows.decode(row).probabilities == shares(held.value)
            assert engine.value_at(node, position) == held.value
        assert parse_position(moment.position) == position
        assert moment.behind == appended - applied


@given(st.lists(st.integers(0, 40), unique=True, max_size=12), st.integers(0, 2**32))
def test_blocks_in_redis_hold_the_bits_of_their_rows(client: redis.Redis, numbers: list[int], seed: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 2, (len(numbers), MARKS_PER_BLOCK)) == 1
    client.delete("bitmap")
    for command in setrange_commands("bitmap", MarkedBlocks(np.array(numbers, np.int64), np.packbits(bits, axis=1))):
        client.execute_command(*command)  # type: ignore[no-untyped-call]
    rows = np.arange(41 * MARKS_PER_BLOCK)
    expected = np.zeros(41 * MARKS_PER_BLOCK, np.bool_)
    for number, block in zip(numbers, bits, strict=True):
        expected[number * MARKS_PER_BLOCK : (number + 1) * MARKS_PER_BLOCK] = block
    stored = client.get("bitmap") or b""
    assert isinstance(stored, bytes)
    assert np.array_equal(marked_in(stored, rows), expected)
    for row in np.random.default_rng(seed).choice(rows, 20).tolist():
        assert client.getbit("bitmap", row) == expected[row]


def test_blocks_that_do_not_fit_their_numbers_are_refused() -> None:
    for numbers, shape in (([0], (2, 512)), ([0], (1, 511)), ([0, 1], (1, 512))):
        with pytest.raises(ValueError, match="blocks but bits of shape"):
            list(setrange_commands("k", MarkedBlocks(np.array(numbers), np.zeros(shape, np.uint8))))
