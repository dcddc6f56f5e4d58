"""A rebuilt log in a real Redis is the log as the API made it, with all that stands beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from olad_core.event_codec import decode_json
from olad_core.events import Event, GraphSchema
from olad_core.graph_types import EdgeType
from olad_core.schema import HeldSchema
from service.archive.history import History, HistoryBroken
from service.archive.left_out import parse_left_out
from service.archive.place import Place, open_place
from service.archive.rebuild import NothingToRebuild, Rebuilt, rebuild
from service.archive.writer import ArchiveWriter
from service.cli import app
from service.local.embedded_redis import EmbeddedRedis
from service.store.connection import connect, connect_blocking
from service.store.fence import Fence
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.log_rebuilder import LogRebuilder
from service.store.log_writer import LogWriter
from service.store.past_rows import NotKept, PastReader
from service.store.positions import parse_position
from service.store.prediction_writer import PredictionWriter
from service.store.raw_log import RawEntry, RawLog
from tests.redis_server import RedisServer
from tests.service.publications import publication


async def decoded(body: bytes, schema: HeldSchema) -> list[Event]:
    return decode_json(body, schema.feature_width, schema.edge_types, schema.node_types)


class Site:
    """A log that the API writes, and its archive."""

    def __init__(self, server: RedisServer, client: redis.Redis, keys: Keys, place: Place) -> None:
        self.server, self.client, self.keys, self.place = server, client, keys, place
        self.raw = RawLog(client, keys, Fence(client, keys))
        self.reader = LogReader(client, keys)
        self.log = LogRebuilder(client, keys, self.raw)

    async def fill(self) -> list[str]:
        """Batches, declarations and a label: the positions of the batches."""
        reading = connect(self.server.url, self.keys)
        writer = LogWriter(reading, self.keys)
        await writer.declare(GraphSchema(classes=("a",), edge_types={"sent": EdgeType(lifetime=9.0)}))
        positions = []
        for number in range(6):
            events = [
                {"op": "upsert_node", "id": number, "x": [float(number), 0.5]},
                {"op": "upsert_edge", "src": number, "dst": 0, "type": "sent"},
                {"op": "label", "id": number, "label": f"class-{number}"},
            ]
            positions.append((await writer.append(json.dumps(events).encode(), decoded, None)).position)
        await writer.declare(GraphSchema(classes=("b",), edge_lifetime=3.0))
        await reading.aclose()
        return positions

    def archive(self, up_to: str, *, trim: bool = True) -> None:
        ArchiveWriter(self.place, "g", self.raw, lambda: 0.0, 0.0).archive(up_to)
        if trim:
            self.reader.trim_before(up_to)

    def rebuild(self, *without: str) -> Rebuilt:
        spans = [parse_left_out(text) for text in without]
        return rebuild(History(self.place), self.log, self.raw.trimmed(), spans)

    def state(self) -> dict[str, Any]:
        keys, client = self.keys, self.client
        schema: Any = client.get(keys.schema)
        return {
            "log": client.xrange(keys.log),
            "schema": HeldSchema.model_validate_json(schema),
            "classes": client.smembers(keys.classes),
            "appended": client.get(keys.appended),
            "skipped": self.raw.skipped(),
        }

    def forget(self) -> None:
        pattern = f"olad:[{{]{self.keys.graph}[}}]:*"
        if found := self.client.keys(pattern):
            self.client.delete(*found)


@pytest.fixture
def site(redis_server: RedisServer, redis_client: redis.Redis, keys: Keys) -> Iterator[Site]:
    site = Site(redis_server, redis_client, keys, open_place(f"memory://{keys.graph}", "g"))
    yield site
    site.forget()


async def test_it_is_the_log_as_it_was_with_schema_classes_counts_and_entries_set_aside(site: Site) -> None:
    positions = await site.fill()
    site.reader.skip(positions[1], "a bug")
    site.reader.skip(positions[5], "another one")
    before = site.state()
    site.archive(positions[3])
    assert site.state()["skipped"] == {positions[5]: "another one"}
    done = site.rebuild()
    assert site.state() == before
    assert (done.archived, done.kept, done.events) == (5, 3, 18)
    assert site.raw.trimmed() == "0-0"
    site.reader.require("0-0")
    # The archive goes on behind it.
    site.archive(done.last)
    site.forget()
    site.rebuild()
    assert site.state() == before


async def test_entries_that_come_meanwhile_are_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    positions = await site.fill()
    site.archive(positions[3])
    rest = site.log.rest
    late: list[Any] = []

    def with_a_late_one(after: str, up_to: str) -> list[RawEntry]:
        found = rest(after, up_to)
        if not found and len(late) < 2:
            late.append(site.client.xadd(site.keys.log, {"events": b"\x90", "n": 0}))
        return found

    monkeypatch.setattr(site.log, "rest", with_a_late_one)
    done = site.rebuild()
    log = site.state()["log"]
    assert [at for at, _ in log][-2:] == late
    assert (len(log), done.kept) == (10, 5)


async def test_positions_that_are_left_out_are_not_given_out_again(site: Site) -> None:
    positions = await site.fill()
    last = site.log.last()
    site.archive(positions[3])
    site.client.delete(site.keys.classes)
    site.rebuild(positions[2], f"{positions[5]}..{last}")
    left = [at.decode() for at, _ in site.state()["log"]]
    assert left[1:] == [positions[0], positions[1], positions[3], positions[4]]
    assert site.state()["classes"] == {b"a", b"class-0", b"class-1", b"class-3", b"class-4"}
    assert site.state()["appended"] == b"12"
    assert site.raw.left_out() == sorted([f"{positions[2]}..{positions[2]}", f"{positions[5]}..{last}"])
    next_one: Any = site.client.xadd(site.keys.log, {"n": 0})
    assert parse_position(next_one.decode()) > parse_position(last)


async def test_what_readers_have_seen_of_entries_that_are_gone_is_gone_too(site: Site) -> None:
    positions = await site.fill()
    writer = PredictionWriter(site.client, site.keys, past_rows=100)
    writer.start()
    for number, position in enumerate(positions[4:]):
        writer.publish(publication(position, {"a": [0.5, 0.5]}, version=number + 1, applied=number))
    site.archive(positions[3], trim=False)
    site.rebuild()
    assert site.client.exists(site.keys.served), "nothing is gone"
    site.rebuild(f"{positions[4]}..{site.log.last()}")
    assert not site.client.exists(site.keys.served)
    reading = connect(site.server.url, site.keys)
    assert await PastReader(reading, site.keys).read("a", parse_position(positions[4])) == NotKept()
    await reading.aclose()
    assert not site.client.keys(site.keys.past_rows("*").replace("{", "[{]"))


async def test_a_gap_between_archive_and_log_is_named_and_the_log_stays(site: Site) -> None:
    positions = await site.fill()
    site.archive(positions[1])
    site.reader.trim_before(positions[3])
    before = site.state()
    with pytest.raises(HistoryBroken, match=rf"\.\.{positions[3]}: the log in Redis was trimmed behind"):
        site.rebuild()
    assert site.state() == before
    assert not site.client.exists(site.keys.rebuilding)


def test_nothing_is_made_of_nothing(site: Site) -> None:
    with pytest.raises(NothingToRebuild):
        site.rebuild()


def test_a_log_is_made_in_the_redis_of_a_data_directory(site: Site, runner: CliRunner, tmp_path: Path) -> None:
    for number in range(1, 4):
        site.client.xadd(site.keys.log, {"events": b"\x90", "n": 0}, id=f"{number}-0")
    ArchiveWriter(open_place("archive", "default"), "default", site.raw, lambda: 0.0, 0.0).archive("3-0")
    done = runner.invoke(app, ["rebuild", "--from", "archive", "--without", "2-0"])
    assert done.exit_code == 0, done.output
    with EmbeddedRedis(tmp_path / "olad-data") as server, connect_blocking(server.url, Keys("default"), 5) as client:
        found: Any = client.xrange(Keys("default").log)
        assert [position for position, _ in found] == [b"1-0", b"3-0"]
    again = runner.invoke(app, ["rebuild", "--from", "archive", "--without", "3-0..2-0"])
    assert again.exit_code == 2
    assert "ends before it begins" in again.output


async def test_a_worker_that_another_one_has_superseded_archives_nothing(site: Site) -> None:
    positions = await site.fill()
    fence, later = Fence(site.client, site.keys), Fence(site.client, site.keys)
    fence.begin()
    raw = RawLog(site.client, site.keys, fence)
    assert raw.is_newest()
    later.begin()
    assert not raw.is_newest()
    assert ArchiveWriter(site.place, "g", raw, lambda: 0.0, 0.0).archive(positions[1]) == "0-0"
    assert site.place.names() == []
