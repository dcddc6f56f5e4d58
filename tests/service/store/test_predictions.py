from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
import redis

from olad_core.serving.publication import Publication, RejectedEvent, TableUpdate, Version
from service.store import prediction_writer
from service.store.connection import connect
from service.store.fence import PublicationsLost, Superseded
from service.store.keys import Keys
from service.store.prediction_reader import PredictionReader, Snapshot
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.publications import publication, worker_status

NO_ROWS = np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=np.float32)


@pytest.fixture
def writer(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    writer = PredictionWriter(redis_client, keys)
    writer.start()
    return writer


@pytest.fixture
def read(redis_server: RedisServer, keys: Keys) -> Read:
    return Read(redis_server, keys)


class Read:
    """Reads as the API does, from synchronous tests."""

    def __init__(self, server: RedisServer, keys: Keys) -> None:
        self._server, self._keys = server, keys

    def snapshot(self, *nodes: str) -> Snapshot:
        async def read() -> Snapshot:
            client = connect(self._server.url, self._keys)
            try:
                return await PredictionReader(client, self._keys).read(nodes)
            finally:
                await client.aclose()

        return asyncio.run(read())

    def rows(self, *nodes: str) -> list[tuple[float, ...] | None]:
        found = self.snapshot(*nodes)
        assert found.model is not None
        return [tuple(found.model.rows.decode(row).probabilities) if row is not None else None for row in found.rows]


def tables(client: redis.Redis, keys: Keys) -> set[str]:
    pattern = keys.predictions("*").replace("{", "[{]").replace("}", "[}]")
    return {key.decode().rsplit(":", 1)[1] for key in client.scan_iter(pattern)}


def transactions(client: redis.Redis, work: Callable[[], None]) -> int:
    """How many transactions Redis carries out meanwhile."""

    def so_far() -> int:
        stats: Any = client.info("commandstats")
        return int(stats.get("cmdstat_exec", {"calls": 0})["calls"])

    before = so_far()
    work()
    return so_far() - before


def test_nothing_is_served_at_first(writer: PredictionWriter, read: Read) -> None:
    found = read.snapshot("1")
    assert (found.visible, found.model) == (("0-0", 0), None)
    assert writer.visible_position() is None
    assert writer.served_version() is None


def test_a_publication_is_read_back(
    writer: PredictionWriter, read: Read, redis_client: redis.Redis, keys: Keys
) -> None:
    redis_client.set(keys.appended, 12)
    writer.publish(publication("5-1", {"x": [0.25, 0.75], "y": [1.0, 0.0]}, applied=10, version=3))
    found = read.snapshot("y", "unknown", "x")
    assert found.visible == ("5-1", 2)
    assert found.model is not None
    assert (found.model.version, found.model.student, found.model.classes) == (3, "sage", ("a", "b"))
    assert read.rows("y", "unknown", "x") == [(1.0, 0.0), None, (0.25, 0.75)]
    assert (writer.visible_position(), writer.served_version()) == ("5-1", 3)


def test_positions_pass_before_there_is_a_model(writer: PredictionWriter, read: Read) -> None:
    writer.publish(publication("5-0", version=None, applied=4))
    found = read.snapshot("1")
    assert (found.visible.position, found.model) == ("5-0", None)


def test_rows_change_and_leave(writer: PredictionWriter, read: Read) -> None:
    writer.publish(publication("1-0", {"x": [0.5, 0.5], "y": [1.0, 0.0]}))
    writer.publish(publication("2-0", {"x": [0.0, 1.0]}, removed=("y", "never-there")))
    assert read.rows("x", "y") == [(0.0, 1.0), None]


def test_more_rows_than_one_command_takes(writer: PredictionWriter, read: Read) -> None:
    count = 9_001
    nodes = tuple(f"n{number}" for number in range(count))
    probabilities = np.random.default_rng(0).random((count, 3), dtype=np.float32)
    version = Version(1, "gat", ("a", "b", "c"))
    update = TableUpdate(1, nodes, probabilities, probabilities[:, 0], rows=np.arange(count))
    writer.publish(Publication("1-0", count, (update,), version))
    assert np.array_equal(np.array(read.rows(*nodes), dtype=np.float32), probabilities)
    writer.publish(Publication("2-0", count, (TableUpdate(1, (), *NO_ROWS, nodes[:-1], rows=np.arange(0)),), version))
    assert read.rows(*nodes) == [*[None] * (count - 1), tuple(probabilities[-1].tolist())]


def test_rows_in_any_memory_order(writer: PredictionWriter, read: Read) -> None:
    probabilities = np.asfortranarray(np.array([[0.0, 1.0], [0.25, 0.75]]), dtype=np.float32)
    update = TableUpdate(1, ("x", "y"), probabilities, probabilities[:, 0], rows=np.arange(2))
    writer.publish(Publication("1-0", 2, (update,), Version(1, "gcn", ("a", "b"))))
    assert read.rows("x", "y") == [(0.0, 1.0), (0.25, 0.75)]


def test_the_disagreement_is_the_last_number_of_a_row(writer: PredictionWriter, read: Read) -> None:
    disagreement = np.array([0.5, 0.125], dtype=np.float32)
    update = TableUpdate(
        1, ("x", "y"), np.array([[1, 0], [0.25, 0.75]], dtype=np.float32), disagreement, rows=np.arange(2)
    )
    writer.publish(Publication("1-0", 2, (update,), Version(1, "gcn", ("a", "b"))))
    found = read.snapshot("y", "x")
    assert found.model is not None
    assert [found.model.rows.decode(row)[1:] for row in found.rows if row] == [([0.25, 0.75], 0.125), ([1.0, 0.0], 0.5)]


def test_tables_of_another_release_are_no_model(
    writer: PredictionWriter, read: Read, redis_client: redis.Redis, keys: Keys
) -> None:
    writer.publish(publication("1-0", {"x": [1.0, 0.0]}))
    redis_client.hdel(keys.served, "format")
    found = read.snapshot("x")
    assert (found.visible.position, found.model) == ("1-0", None)
    writer.publish(publication("2-0"))
    assert read.rows("x") == [(1.0, 0.0)]


@pytest.mark.parametrize(("rows", "disagreements"), [(1, 1), (2, 1), (1, 2)])
def test_rows_that_do_not_fit_their_nodes_are_refused(writer: PredictionWriter, rows: int, disagreements: int) -> None:
    probabilities, disagreement = np.zeros((rows, 2), dtype=np.float32), np.zeros(disagreements, dtype=np.float32)
    update = TableUpdate(1, ("x", "y"), probabilities, disagreement, rows=np.arange(2))
    with pytest.raises(ValueError, match="rows of probabilities"):
        writer.publish(Publication("1-0", 2, (update,), Version(1, "gcn", ("a", "b"))))
    assert writer.visible_position() is None


def test_a_version_is_filled_in_the_background_and_then_swapped_in(
    writer: PredictionWriter, read: Read, redis_client: redis.Redis, keys: Keys
) -> None:
    writer.publish(publication("1-0", {"x": [1.0, 0.0]}))
    writer.publish(publication("1-0", {"x": [0.0, 1.0]}, into=2))
    assert read.rows("x") == [(1.0, 0.0)]
    writer.publish(publication("1-0", version=2, dropped=(1,)))
    assert read.rows("x") == [(0.0, 1.0)]
    assert tables(redis_client, keys) == {"2.1"}
    assert redis_client.smembers(keys.tables) == {b"2.1"}


class TestPieces:
    """Rows that readers do not see yet are written piece by piece, so that no reader waits for all of them."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(prediction_writer, "ROWS_PER_PIECE", 2)

    def test_hidden_rows_come_in_pieces_and_are_all_there(
        self, writer: PredictionWriter, read: Read, redis_client: redis.Redis
    ) -> None:
        rows = {node: [number / 8, 1 - number / 8] for number, node in enumerate("abcde")}
        writer.publish(publication("1-0", {"a": [1.0, 0.0]}))
        assert transactions(redis_client, lambda: writer.publish(publication("1-0", rows, into=2))) == 3
        assert read.rows(*"abcde") == [(1.0, 0.0), None, None, None, None]
        writer.publish(publication("2-0", version=2, dropped=(1,)))
        assert read.rows(*"abcde") == [tuple(row) for row in rows.values()]

    def test_visible_rows_change_at_once(self, writer: PredictionWriter, redis_client: redis.Redis) -> None:
        writer.publish(publication("1-0", {"a": [1.0, 0.0]}))
        change = publication("2-0", {node: [0.0, 1.0] for node in "abcde"})
        assert transactions(redis_client, lambda: writer.publish(change)) == 1

    def test_what_stands_between_two_pieces_is_not_seen(
        self, writer: PredictionWriter, read: Read, redis_client: redis.Redis, keys: Keys
    ) -> None:
        writer.publish(publication("1-0", {"a": [1.0, 0.0]}))
        whole = publication("2-0", {node: [0.0, 1.0] for node in "abc"}, version=2)
        broken = replace(whole.updates[0], probabilities=whole.updates[0].probabilities[:2])
        with pytest.raises(ValueError, match="rows of probabilities"):
            writer.publish(replace(whole, updates=(broken,)))
        assert redis_client.hlen(keys.predictions("2.1")) == 2
        assert read.rows("a", "b") == [(1.0, 0.0), None]
        assert writer.visible_position() == "1-0"


def test_going_back_is_refused(writer: PredictionWriter, read: Read) -> None:
    writer.publish(publication("10-0", {"x": [1.0, 0.0]}))
    with pytest.raises(ValueError, match="would go back"):
        writer.publish(publication("9-5", {"x": [0.0, 1.0]}))
    assert read.rows("x") == [(1.0, 0.0)]


def test_readers_hear_of_the_position(writer: PredictionWriter, redis_client: redis.Redis, keys: Keys) -> None:
    with redis_client.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
        channel.subscribe(keys.watermark)
        channel.get_message(timeout=10)
        writer.publish(publication("3-0", {"x": [1.0, 0.0]}))
        message = channel.get_message(timeout=10)
    assert message is not None
    assert message["data"] == b"3-0"


class TestRestart:
    def test_old_rows_are_read_until_new_ones_are_served(
        self, writer: PredictionWriter, read: Read, redis_client: redis.Redis, keys: Keys
    ) -> None:
        writer.publish(publication("1-0", {"x": [1.0, 0.0], "gone": [1.0, 0.0]}))
        after = PredictionWriter(redis_client, keys)
        assert after.start() == 2
        after.publish(publication("2-0", {"x": [0.0, 1.0]}, version=None, into=1))
        assert read.rows("x", "gone") == [(1.0, 0.0), (1.0, 0.0)]
        # The old table knows nothing after 1-0, so readers must not see a later position.
        assert after.visible_position() == "1-0"
        after.publish(publication("2-0"))
        assert read.rows("x", "gone") == [(0.0, 1.0), None]
        assert after.visible_position() == "2-0"
        assert tables(redis_client, keys) == {"1.2"}

    def test_a_worker_that_was_replaced_writes_no_more(
        self, writer: PredictionWriter, read: Read, redis_client: redis.Redis, keys: Keys
    ) -> None:
        writer.publish(publication("1-0", {"x": [1.0, 0.0]}))
        PredictionWriter(redis_client, keys).start()
        with pytest.raises(Superseded):
            writer.publish(publication("2-0", {"x": [0.0, 1.0]}))
        assert read.rows("x") == [(1.0, 0.0)]

    def test_rejections_are_not_written_twice(
        self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
    ) -> None:
        def rejection(position: str) -> RejectedEvent:
            return RejectedEvent(position, 0, "remove_edge", "unknown-edge", "no such edge")

        writer.publish(publication("2-0", version=None, rejected=(rejection("1-0"), rejection("2-0"))))
        after = PredictionWriter(redis_client, keys)
        after.start()
        after.publish(publication("3-0", version=None, rejected=(rejection("2-0"), rejection("3-0"))))
        found: Any = redis_client.xrange(keys.rejected)
        assert [fields[b"position"] for _, fields in found] == [b"1-0", b"2-0", b"3-0"]
        assert found[0][1] == {
            b"position": b"1-0",
            b"index": b"0",
            b"op": b"remove_edge",
            b"reason": b"unknown-edge",
            b"detail": b"no such edge",
        }


def test_status_metrics_and_heartbeat(writer: PredictionWriter, redis_client: redis.Redis, keys: Keys) -> None:
    status = worker_status()
    writer.write_status(status, b"# metrics\n")
    writer.heartbeat(60_000)
    stored = redis_client.get(keys.status)
    assert isinstance(stored, bytes)
    assert msgspec.json.decode(stored) == status.model_dump(mode="json")
    assert redis_client.get(keys.metrics) == b"# metrics\n"
    assert 0 < redis_client.pttl(keys.heartbeat) <= 60_000


async def test_reads_at_the_same_time_share_a_call(
    writer: PredictionWriter, redis_server: RedisServer, keys: Keys
) -> None:
    rows = {f"n{number}": [number / 4096, 0.0] for number in range(2_500)}
    await asyncio.to_thread(writer.publish, publication("1-0", rows))
    client = connect(redis_server.url, keys)
    reader = PredictionReader(client, keys)
    found = await asyncio.gather(*(reader.read_one(node) for node in [*rows, "unknown"]))
    assert found[-1].rows == (None,)
    for snapshot, expected in zip(found, rows.values(), strict=False):
        assert snapshot.model is not None
        assert snapshot.rows[0] is not None
        assert snapshot.model.rows.decode(snapshot.rows[0])[1:] == ([*expected], 0.0)
    await client.aclose()


class TestLostPublications:
    """What a failover loses: Redis is as it was some publications ago."""

    def test_are_noticed_before_anything_is_written(
        self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys, read: Read
    ) -> None:
        writer.publish(publication("1-0", {"a": [1.0, 0.0]}))
        served, rows = redis_client.dump(keys.served), redis_client.dump(keys.predictions("1.1"))
        writer.publish(publication("2-0", {"a": [0.0, 1.0]}))
        writer.publish(publication("3-0", {"b": [0.5, 0.5]}))
        for key, value in ((keys.served, served), (keys.predictions("1.1"), rows)):
            assert isinstance(value, bytes)
            redis_client.restore(key, 0, value, replace=True)
        with pytest.raises(PublicationsLost):
            writer.publish(publication("4-0", {"b": [0.5, 0.5]}))
        assert read.snapshot("a").visible.position == "1-0"
        writer.start()
        writer.publish(publication("4-0", {"a": [0.0, 1.0], "b": [0.5, 0.5]}))
        assert read.rows("a", "b") == [(0.0, 1.0), (0.5, 0.5)]

    def test_a_transaction_without_an_answer_is_none(
        self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys, read: Read
    ) -> None:
        writer.publish(publication("1-0", {"a": [1.0, 0.0]}))
        # The second one was carried out, and the worker sends it again.
        redis_client.hset(keys.served, "written", "1.2")
        writer.publish(publication("2-0", {"a": [0.0, 1.0]}))
        writer.publish(publication("3-0", {"a": [0.5, 0.5]}))
        assert read.snapshot("a").visible.position == "3-0"
