from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis as AsyncRedis

from olad_core.event_codec import decode_json, encode_log
from olad_core.events import ClockSetting, Event, GraphSchema, InvalidEvents, UpsertEdge
from olad_core.schema import HeldSchema, SchemaConflict
from service.store.connection import connect
from service.store.keys import Keys
from service.store.log_reader import Entry, LogReader
from service.store.log_writer import KeyReused, LogWriter
from service.store.positions import parse_position
from tests.redis_server import RedisServer


async def decoded(body: bytes, schema: HeldSchema) -> list[Event]:
    return decode_json(body, schema.feature_width, schema.edge_types, schema.node_types)


@pytest.fixture
async def async_redis(redis_server: RedisServer, keys: Keys) -> AsyncIterator[AsyncRedis]:
    client = connect(redis_server.url, keys)
    yield client
    await client.aclose()


@pytest.fixture
def log(async_redis: AsyncRedis, keys: Keys) -> LogWriter:
    return LogWriter(async_redis, keys)


@pytest.fixture
def reader(redis_client: redis.Redis, keys: Keys) -> LogReader:
    return LogReader(redis_client, keys)


def edges(count: int, first: int = 0) -> bytes:
    items = [f'{{"op":"upsert_edge","src":{number},"dst":"n"}}' for number in range(first, first + count)]
    return f"[{','.join(items)}]".encode()


def features(width: int) -> bytes:
    return f'[{{"op":"upsert_node","id":1,"x":{[1.0] * width}}}]'.encode()


async def put(log: LogWriter, body: bytes, key: bytes | None = None) -> str:
    return (await log.append(body, decoded, key)).position


class TestPositions:
    @given(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)))
    def test_a_position_is_a_pair_of_numbers(self, pair: tuple[int, int]) -> None:
        assert parse_position(f"{pair[0]}-{pair[1]}") == pair

    def test_a_time_alone_is_the_first_entry_of_its_millisecond(self) -> None:
        assert parse_position("17") == (17, 0)

    @pytest.mark.parametrize("text", ["", "-", "1-", "-1", "1-2-3", "x", "1 ", "+", "$", "١", "1-0\n", str(2**64)])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="is no position"):
            parse_position(text)


class TestReading:
    async def test_entries_come_in_order_with_their_events(self, log: LogWriter, reader: LogReader) -> None:
        first = await put(log, edges(2))
        second = await put(log, edges(1, first=7))
        batches = [[UpsertEdge("0", "n"), UpsertEdge("1", "n")], [UpsertEdge("7", "n")]]
        assert reader.read("0-0", max_events=100) == [
            Entry(position, batch, None, len(batch), encode_log(batch))
            for position, batch in zip((first, second), batches, strict=True)
        ]
        assert [entry.position for entry in reader.read(first, max_events=100)] == [second]
        assert reader.read(second, max_events=100) == []

    async def test_reading_stops_at_the_entry_that_reaches_the_number(self, log: LogWriter, reader: LogReader) -> None:
        sizes = [3, 3, 1, *[1] * 150, 50, 2]
        positions = [await put(log, edges(size)) for size in sizes]
        for wanted in (1, 3, 4, 6, 7, 8, 100, 158, 10_000):
            expected, total = 0, 0
            while total < wanted and expected < len(sizes):
                total += sizes[expected]
                expected += 1
            found = reader.read("0-0", max_events=wanted)
            assert [entry.position for entry in found] == positions[:expected]

    def test_reading_stops_before_too_many_bytes_but_takes_one_entry(
        self, reader: LogReader, redis_client: redis.Redis, keys: Keys
    ) -> None:
        sizes = [100, 9_000_000, 100, 3_000_000, 2_000_000, 100]
        for number, size in enumerate(sizes, start=1):
            redis_client.xadd(keys.log, {"events": b"\x90" + b" " * size, "n": 1}, id=f"{number}-0")
        after, read = "0-0", []
        while found := reader.read(after, max_events=10_000):
            read.append([int(entry.position.split("-")[0]) for entry in found])
            after = found[-1].position
        assert read == [[1], [2], [3, 4], [5, 6]]

    def test_many_small_entries_are_read_in_parts(
        self, reader: LogReader, redis_client: redis.Redis, keys: Keys
    ) -> None:
        with redis_client.pipeline(transaction=False) as pipe:
            for number in range(1, 6001):
                pipe.xadd(keys.log, {"events": b"\x90", "n": 1}, id=f"{number}-0")
            pipe.execute()
        found = reader.read("0-0", max_events=10_000)
        assert 3000 < len(found) < 4100
        assert found[-1].position == f"{len(found)}-0"

    async def test_a_declaration_of_the_schema_stands_among_the_batches(
        self, log: LogWriter, reader: LogReader
    ) -> None:
        await put(log, edges(1))
        await log.declare(GraphSchema(classes=("a",)))
        await put(log, edges(1))
        found = reader.read("0-0", max_events=100)
        assert [entry.schema for entry in found] == [None, GraphSchema(classes=("a",)), None]
        assert [len(entry.events) for entry in found] == [1, 0, 1]

    def test_an_empty_log(self, reader: LogReader) -> None:
        assert reader.read("0-0", max_events=10) == []
        assert reader.read("0-0", max_events=10, block_ms=1) == []
        assert reader.first() is None
        assert reader.last() is None

    async def test_a_blocked_read_wakes_up(self, log: LogWriter, reader: LogReader) -> None:
        found: list[Entry] = []
        thread = threading.Thread(target=lambda: found.extend(reader.read("0-0", max_events=10, block_ms=20_000)))
        thread.start()
        position = await put(log, edges(2))
        await asyncio.to_thread(thread.join)
        assert [entry.position for entry in found] == [position]

    async def test_trimming_keeps_what_comes_after(self, log: LogWriter, reader: LogReader) -> None:
        first, second, third = [await put(log, edges(1)) for _ in range(3)]
        assert reader.first() == first
        assert reader.trim_before(second) == 2
        assert (reader.first(), reader.last()) == (third, third)
        assert [entry.position for entry in reader.read("0-0", max_events=9)] == [third]

    async def test_the_last_position_outlives_its_entry(self, log: LogWriter, reader: LogReader) -> None:
        position = await put(log, edges(1))
        reader.trim_before(position)
        assert (reader.first(), reader.last()) == (None, position)


class TestAppending:
    async def test_the_counter_counts_events(self, log: LogWriter, redis_client: redis.Redis, keys: Keys) -> None:
        await put(log, edges(3))
        await put(log, edges(2))
        assert redis_client.get(keys.appended) == b"5"

    async def test_a_key_is_applied_once_however_many_send_it(self, log: LogWriter, reader: LogReader) -> None:
        answers = await asyncio.gather(*(log.append(edges(2), decoded, b"k") for _ in range(20)))
        assert len({answer.position for answer in answers}) == 1
        assert sorted(answer.replayed for answer in answers) == [False, *[True] * 19]
        assert len(reader.read("0-0", max_events=100)) == 1

    async def test_a_key_is_forgotten_after_a_day(self, log: LogWriter, redis_client: redis.Redis, keys: Keys) -> None:
        await put(log, edges(1), b"k")
        (stored,) = redis_client.scan_iter(keys.idempotency("*").replace("{", "[{]").replace("}", "[}]"))
        left = redis_client.ttl(stored)
        assert 0 < left <= 24 * 3600

    async def test_a_key_belongs_to_one_body(self, log: LogWriter, reader: LogReader) -> None:
        position = await put(log, edges(1), b"k")
        with pytest.raises(KeyReused) as caught:
            await put(log, edges(2), b"k")
        assert caught.value.position == position
        assert reader.last() == position

    async def test_a_refused_batch_does_not_use_up_its_key(self, log: LogWriter) -> None:
        with pytest.raises(InvalidEvents):
            await put(log, b"[{}]", b"k")
        assert not (await log.append(edges(1), decoded, b"k")).replayed


class TestWidth:
    async def test_the_first_features_fix_it(self, log: LogWriter) -> None:
        await put(log, features(3))
        schema = await log.schema()
        assert (schema.feature_width, schema.feature_width_held) == (3, True)
        with pytest.raises(InvalidEvents) as caught:
            await put(log, features(4))
        assert (caught.value.problems[0].index, caught.value.problems[0].field) == (0, "x")

    async def test_of_two_that_race_one_is_refused(
        self, redis_server: RedisServer, keys: Keys, reader: LogReader
    ) -> None:
        # Two processes, each with its own stale idea of the schema.
        clients = [connect(redis_server.url, keys) for _ in range(2)]
        logs = [LogWriter(client, keys) for client in clients]
        outcomes = await asyncio.gather(
            *(put(logs[number % 2], features(2 + number % 2)) for number in range(10)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert all(isinstance(error, InvalidEvents) for error in refused)
        assert len(refused) == 5
        widths = {len(event.x) for entry in reader.read("0-0", max_events=100) for event in entry.events}  # type: ignore[union-attr,arg-type]
        assert len(widths) == 1
        for client in clients:
            await client.aclose()

    async def test_a_declaration_by_another_process_counts_at_once(
        self, redis_server: RedisServer, keys: Keys, log: LogWriter
    ) -> None:
        sparse = b'[{"op":"upsert_node","id":1,"x":{"indices":[4],"values":[1.0]}}]'
        with pytest.raises(InvalidEvents):
            await put(log, sparse)
        other = connect(redis_server.url, keys)
        await LogWriter(other, keys).declare(GraphSchema(feature_width=5))
        await other.aclose()
        await put(log, sparse)
        assert (await log.schema()).feature_width_held

    async def test_a_declared_width_is_open_until_features_come(self, log: LogWriter) -> None:
        await log.declare(GraphSchema(feature_width=5))
        await put(log, edges(1))
        await log.declare(GraphSchema(feature_width=6))
        await put(log, features(6))
        with pytest.raises(SchemaConflict, match="7, but features of width 6"):
            await log.declare(GraphSchema(feature_width=7))
        assert (await log.declare(GraphSchema(feature_width=None))).feature_width == 6


class TestSchema:
    async def test_the_same_declaration_is_appended_once(self, log: LogWriter, reader: LogReader) -> None:
        await log.declare(GraphSchema(classes=("a", "b")))
        await log.declare(GraphSchema(classes=("b", "a")))
        await log.declare(GraphSchema())
        assert len(reader.read("0-0", max_events=10)) == 1

    async def test_fields_left_out_stay(self, log: LogWriter) -> None:
        await log.declare(GraphSchema(directed=True, classes=("a",), edge_lifetime=9.0))
        schema = await log.declare(GraphSchema(classes=("b",)))
        assert (schema.directed, schema.classes, schema.edge_lifetime) == (True, ("a", "b"), 9.0)
        assert (await log.declare(GraphSchema(edge_lifetime=None))).edge_lifetime is None

    async def test_directed_is_fixed_by_the_first_event(self, log: LogWriter, reader: LogReader) -> None:
        await log.declare(GraphSchema(directed=True))
        await log.declare(GraphSchema(directed=False))
        position = await put(log, edges(1))
        with pytest.raises(SchemaConflict, match="directed cannot change"):
            await log.declare(GraphSchema(directed=True, classes=("a",)))
        assert (await log.schema()).classes == ()
        assert reader.last() == position

    async def test_declarations_at_the_same_time_add_up(self, redis_server: RedisServer, keys: Keys) -> None:
        clients = [connect(redis_server.url, keys) for _ in range(4)]
        logs = [LogWriter(client, keys) for client in clients]
        await asyncio.gather(*(log.declare(GraphSchema(classes=(f"c{n}",))) for n, log in enumerate(logs)))
        assert sorted((await logs[0].schema()).classes) == ["c0", "c1", "c2", "c3"]
        for client in clients:
            await client.aclose()


def test_events_survive_the_log(redis_client: redis.Redis, redis_server: RedisServer, keys: Keys) -> None:
    body = (
        '[{"op":"upsert_node","id":"ü/ 1","x":[0.5],"label":3,"ts":1.5},{"op":"remove_node","id":2},'
        '{"op":"upsert_edge","src":1,"dst":2,"weight":0.1},{"op":"remove_edge","src":1,"dst":2},'
        '{"op":"label","id":1,"label":"x"}]'
    ).encode()

    async def send() -> None:
        client = connect(redis_server.url, keys)
        await put(LogWriter(client, keys), body)
        await client.aclose()

    asyncio.run(send())
    (entry,) = LogReader(redis_client, keys).read("0-0", max_events=1)
    expected: list[Event] = decode_json(body)
    assert entry.events == expected


class TestIdempotencyKeys:
    async def test_each_client_has_its_own(self, log: LogWriter, reader: LogReader) -> None:
        first = await log.append(edges(1), decoded, b"k", "a")
        other = await log.append(edges(2), decoded, b"k", "b")
        anonymous = await log.append(edges(3), decoded, b"k")
        assert len({first.position, other.position, anonymous.position}) == 3
        again = await log.append(edges(2), decoded, b"k", "b")
        assert (again.position, again.replayed) == (other.position, True)
        # No name and key of one client read like those of another.
        assert not (await log.append(edges(1), decoded, b"b\0k")).replayed

    async def test_the_latest_are_remembered_and_no_more(
        self, log: LogWriter, redis_client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("service.store.log_writer.IDEMPOTENCY_KEPT", 5)
        await log.append(edges(1), decoded, b"other", "b")
        for number in range(12):
            await log.append(edges(1), decoded, b"%d" % number, "a")
        replayed = [
            (await log.append(edges(1), decoded, b"%d" % number, "a")).replayed for number in reversed(range(7, 12))
        ]
        assert replayed == [True] * 5
        assert not (await log.append(edges(1), decoded, b"0", "a")).replayed
        assert (await log.append(edges(1), decoded, b"other", "b")).replayed
        pattern = keys.idempotency("*").replace("{", "[{]").replace("}", "[}]")
        assert len(list(redis_client.scan_iter(pattern))) == 6
        assert redis_client.llen(keys.idempotency_order("a")) == 5
        assert 0 < redis_client.ttl(keys.idempotency_order("a")) <= 24 * 3600

    async def test_one_that_ran_out_and_was_used_again_is_a_later_one(
        self, log: LogWriter, redis_client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("service.store.log_writer.IDEMPOTENCY_KEPT", 2)
        await log.append(edges(1), decoded, b"k")
        redis_client.delete(*redis_client.scan_iter(keys.idempotency("*").replace("{", "[{]").replace("}", "[}]")))
        await log.append(edges(1), decoded, b"k")
        await log.append(edges(1), decoded, b"l")
        assert (await log.append(edges(1), decoded, b"k")).replayed


class TestIdentity:
    async def test_it_is_one_for_all_who_ask(self, log: LogWriter, redis_client: redis.Redis, keys: Keys) -> None:
        first = await log.identity()
        await put(log, edges(2))
        assert first is not None
        assert {await log.identity() for _ in range(3)} == {first}
        redis_client.delete(keys.log, keys.log_id)
        assert await log.identity() not in {first, None}

    async def test_a_log_that_goes_on_without_what_it_lost_is_another_one(
        self, log: LogWriter, reader: LogReader
    ) -> None:
        first = await log.identity()
        position = await put(log, edges(2))
        reader.adopt(f"{parse_position(position)[0] + 1}-0", 5, HeldSchema())
        second = await log.identity()
        assert second not in {first, None}
        await put(log, edges(1))
        assert await log.identity() == second


async def test_every_kind_of_entry_names_its_format(log: LogWriter, redis_client: redis.Redis, keys: Keys) -> None:
    await log.declare(GraphSchema(classes=("a", "b")))
    await put(
        log, b'[{"op": "upsert_node", "id": "1", "label": "a"}, {"op": "upsert_node", "id": "2", "label": "new"}]'
    )
    await log.set_clock(ClockSetting(time=5.0))
    found: Any = redis_client.xrange(keys.log)
    assert [fields[b"v"] for _, fields in found] == [b"1"] * 3
    assert [set(fields) - {b"v", b"at", b"n"} for _, fields in found] == [{b"schema"}, {b"events"}, {b"clock"}]
    # The format is no class.
    assert redis_client.smembers(keys.classes) == {b"a", b"b", b"new"}
