from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import redis

from service.store import request_writer
from service.store.connection import connect
from service.store.keys import Keys
from service.store.positions import PositionPair, parse_position
from service.store.prediction_writer import PredictionWriter
from service.store.request_reader import RequestReader
from service.store.request_writer import RequestWriter
from tests.redis_server import RedisServer
from tests.service.publications import publication

NONE: PositionPair = (0, 0)


@pytest.fixture
async def requests(redis_server: RedisServer, keys: Keys) -> AsyncIterator[RequestWriter]:
    client = connect(redis_server.url, keys)
    yield RequestWriter(client, keys)
    await client.aclose()


@pytest.fixture
def reader(redis_client: redis.Redis, keys: Keys) -> RequestReader:
    reader = RequestReader(redis_client, keys)
    reader.begin()
    return reader


def entries(client: redis.Redis, keys: Keys) -> list[list[str]]:
    found: Any = client.xrange(keys.requests)
    return [msgspec.msgpack.decode(fields[b"nodes"]) for _, fields in found]


async def test_those_who_ask_at_the_same_time_share_an_entry(
    requests: RequestWriter, redis_client: redis.Redis, keys: Keys
) -> None:
    numbers = await asyncio.gather(*(requests.request([f"n{number % 50}"], NONE) for number in range(400)))
    assert len(set(numbers)) == 1
    (nodes,) = entries(redis_client, keys)
    assert sorted(nodes) == sorted({f"n{number}" for number in range(50)})


async def test_many_nodes_are_several_entries_and_few_do_not_wait_for_them(
    requests: RequestWriter, redis_client: redis.Redis, keys: Keys
) -> None:
    many, few = await asyncio.gather(
        requests.request([f"m{number}" for number in range(1_200)], NONE), requests.request(["few"], NONE)
    )
    written = entries(redis_client, keys)
    assert [len(nodes) for nodes in written] == [500, 500, 201]
    assert written[0][0] == "few"
    found: Any = redis_client.xrange(keys.requests)
    numbers = [parse_position(number.decode()) for number, _ in found]
    assert (few, many) == (numbers[0], numbers[2])


async def test_a_node_on_its_way_is_not_asked_for_again_until_it_is_answered(
    requests: RequestWriter, redis_client: redis.Redis, keys: Keys
) -> None:
    first = await requests.request(["a", "b"], NONE)
    assert await requests.request(["b"], NONE) == first
    assert await requests.request(["b", "c"], NONE) > first
    assert entries(redis_client, keys) == [["a", "b"], ["c"]]
    again = await requests.request(["a"], first)
    assert again > first
    assert entries(redis_client, keys)[2:] == [["a"]]


async def test_one_that_stays_without_an_answer_is_asked_for_again(
    requests: RequestWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await requests.request(["a"], NONE)
    monkeypatch.setattr(request_writer, "_BELIEVED_S", 0.0)
    assert await requests.request(["a"], NONE) > first


async def test_a_refusal_reaches_all_who_asked_and_the_next_ones_go_on(
    own_redis_server: RedisServer, keys: Keys
) -> None:
    client = connect(own_redis_server.url, keys)
    requests = RequestWriter(client, keys)
    with own_redis_server.client() as admin:
        admin.config_set("maxmemory", 1)
        answers = await asyncio.gather(*(requests.request([node], NONE) for node in "abc"), return_exceptions=True)
        assert all(isinstance(answer, redis.ResponseError) for answer in answers)
        admin.config_set("maxmemory", 0)
        assert await requests.request(["a"], NONE) > NONE
    await client.aclose()


async def test_the_worker_reads_each_request_once_and_in_order(requests: RequestWriter, reader: RequestReader) -> None:
    numbers = [await requests.request([node], NONE) for node in "abc"]
    read = [*reader.read(), *reader.read(5), *reader.read(5)]
    assert [parse_position(request.number) for request in read] == numbers
    assert [request.nodes for request in read] == [("a",), ("b",), ("c",)]


def test_what_nobody_of_us_has_written_is_a_request_for_nothing(
    reader: RequestReader, redis_client: redis.Redis, keys: Keys
) -> None:
    for name, value in ((b"nodes", b"\xc1"), (b"other", b"x"), (b"nodes", msgspec.msgpack.encode([1]))):
        redis_client.xadd(keys.requests, {name: value})
    assert [request.nodes for request in reader.read(5)] == [(), (), ()]


async def test_waiting_ends_with_an_entry_or_a_request(
    requests: RequestWriter, reader: RequestReader, redis_client: redis.Redis, keys: Keys
) -> None:
    for stream in (keys.log, keys.requests):
        waiting = asyncio.create_task(asyncio.to_thread(reader.wait, "0-0", 20_000))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        redis_client.xadd(stream, {"n": 0})
        await asyncio.wait_for(waiting, 10)
        redis_client.delete(keys.log)
    reader.read(5)
    await asyncio.to_thread(reader.wait, "0-0", 1)


async def test_what_is_answered_is_trimmed_and_a_later_worker_goes_on_after_it(
    requests: RequestWriter, reader: RequestReader, redis_client: redis.Redis, keys: Keys
) -> None:
    for node in "abc":
        await requests.request([node], NONE)
    _, second = reader.read(2)
    writer = PredictionWriter(redis_client, keys)
    writer.start()
    writer.publish(publication("1-0", {"a": [1.0, 0.0]}, answered=second.number))
    assert redis_client.hget(keys.served, "answered") == second.number.encode()
    assert entries(redis_client, keys) == [["b"], ["c"]]
    later = RequestReader(redis_client, keys)
    later.begin()
    assert [request.nodes for request in later.read(5)] == [("c",)]


def test_a_request_counts_as_answered_only_in_a_table_that_readers_see(redis_client: redis.Redis, keys: Keys) -> None:
    PredictionWriter(redis_client, keys).start()
    before = PredictionWriter(redis_client, keys)
    before.start()
    before.publish(publication("1-0", {"a": [1.0, 0.0]}))
    after = PredictionWriter(redis_client, keys)
    after.start()
    after.publish(publication("2-0", {"a": [1.0, 0.0]}, version=None, into=1, answered="7-0"))
    assert redis_client.hget(keys.served, "answered") is None
    after.publish(publication("2-0"))
    assert redis_client.hget(keys.served, "answered") == b"7-0"
    after.publish(publication("3-0"))
    assert redis_client.hget(keys.served, "answered") == b"7-0"


async def test_ids_that_no_node_can_have_are_not_asked_for(
    requests: RequestWriter, redis_client: redis.Redis, keys: Keys
) -> None:
    longest = "é" * 128
    assert await requests.request(["x" * 257, "é" * 129, "x" * 60_000], NONE) == NONE
    assert redis_client.xlen(keys.requests) == 0
    assert await requests.request(["x" * 257, longest], NONE) > NONE
    assert entries(redis_client, keys) == [[longest]]


async def test_requests_that_nobody_answers_are_bounded(
    requests: RequestWriter, redis_client: redis.Redis, keys: Keys
) -> None:
    for first in range(0, 5_000, 500):
        await asyncio.gather(
            *(requests.request([f"{first + number}-{one}" for one in range(500)], NONE) for number in range(500))
        )
    assert redis_client.xlen(keys.requests) <= 1_100
