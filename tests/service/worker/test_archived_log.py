"""The log behind an archive: what was trimmed comes out of the archive, and nothing is left out in between."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from service.archive.history import History
from service.archive.place import Place, open_place
from service.archive.writer import ArchiveWriter
from service.store.fence import Fence, LogLost
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.raw_log import RawLog
from service.worker.archived_log import ArchivedLog
from tests.service.entries import append, random_entries


@pytest.fixture
def place(redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> Place:
    """An archive of the first 12 entries of 20, of which the log has lost the first 8."""
    append(redis_client, keys, random_entries(20, seed=1))
    place, raw = open_place(str(tmp_path), keys.graph), RawLog(redis_client, keys, Fence(redis_client, keys))
    reader = LogReader(redis_client, keys)
    reader.skip("3-0", "broken")
    writer = ArchiveWriter(place, keys.graph, raw, lambda: 0.0, 0.0, lambda: False)
    writer.begin()
    for end in ("8-0", "12-0"):
        writer.archive(end, everything=True)
    reader.trim_before("8-0")
    return place


@pytest.fixture
def log(redis_client: redis.Redis, keys: Keys, place: Place) -> ArchivedLog:
    return ArchivedLog(LogReader(redis_client, keys), lambda: History(place))


def read_from(log: ArchivedLog, after: str, most: int) -> list[str]:
    found: list[str] = []
    while entries := log.read(found[-1] if found else after, max_events=most):
        found += [entry.position for entry in entries]
    return found


@pytest.mark.parametrize("most", [1, 7, 10_000])
@pytest.mark.parametrize("after", [0, 5, 8, 11, 15])
def test_every_entry_after_a_position_is_read_once(log: ArchivedLog, after: int, most: int) -> None:
    log.require(f"{after}-0")
    assert read_from(log, f"{after}-0", most) == [f"{number}-0" for number in range(after + 1, 21)]


def test_an_archived_entry_is_the_one_that_was_in_the_log(
    log: ArchivedLog, redis_client: redis.Redis, keys: Keys
) -> None:
    log.require("0-0")
    found = log.read("0-0", max_events=10_000)
    while later := log.read(found[-1].position, max_events=10_000):
        found += later
    in_redis = {entry.position: entry for entry in LogReader(redis_client, keys).read("8-0", max_events=10_000)}
    assert [entry.problem for entry in found[:4]] == ["", "", "broken", ""]
    same = [entry for entry in found if entry.position in in_redis]
    assert [(each.raw, each.count, each.arrival) for each in same] == [
        (each.raw, each.count, each.arrival) for each in in_redis.values()
    ]


def test_a_state_that_goes_back_to_a_checkpoint_reads_on_from_there(log: ArchivedLog) -> None:
    log.require("0-0")
    log.read("0-0", max_events=20)
    assert read_from(log, "2-0", 5) == [f"{number}-0" for number in range(3, 21)]


def test_what_neither_holds_is_missed(log: ArchivedLog, redis_client: redis.Redis, keys: Keys, place: Place) -> None:
    LogReader(redis_client, keys).trim_before("14-0")
    with pytest.raises(LogLost, match="12-0"):
        log.require("0-0")
    empty = ArchivedLog(LogReader(redis_client, keys), lambda: History(open_place("/nonexistent", keys.graph)))
    with pytest.raises(LogLost, match="holds nothing after it"):
        empty.require("0-0")
    (segment,) = [name for name in place.names() if name.startswith("0-0_")]
    (Path(place.name) / segment).unlink()
    with pytest.raises(LogLost, match="the archive begins after them"):
        log.require("0-0")
