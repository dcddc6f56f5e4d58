"""Writer and reader of the archive, in directories and behind a URL: every entry once, whatever ends when."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from service.archive import writer as writing
from service.archive.history import History, HistoryBroken
from service.archive.left_out import parse_left_out
from service.archive.place import ArchiveUnusable, DirectoryPlace, Place, UrlPlace, open_place
from service.archive.writer import ArchiveWriter, OtherHistory
from service.cli import app
from tests.service.archive.places import RawMemoryLog, positions


class Time:
    """Seconds, set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["directory", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "url":
        return open_place(f"memory://{uuid.uuid4().hex}/archive", "g")
    return open_place(str(tmp_path / "archive"), "g")


def writer(place: Place, log: RawMemoryLog, interval_s: float = 0.0, time: Time | None = None) -> ArchiveWriter:
    return ArchiveWriter(place, "g", log, time or Time(), interval_s)


def numbers(first: int, last: int) -> list[str]:
    return [f"{number}-0" for number in range(first, last + 1)]


def test_what_may_be_trimmed_is_archived_and_no_later_entry(place: Place) -> None:
    log = RawMemoryLog()
    log.append(10)
    assert writer(place, log).archive("7-0") == "7-0"
    assert positions(place) == numbers(1, 7)


def test_a_position_without_an_entry_is_an_end_too(place: Place) -> None:
    log = RawMemoryLog()
    log.append(4)
    archive = writer(place, log)
    assert archive.archive("9-0") == "9-0"
    assert archive.archive("9-0") == "9-0"
    assert positions(place) == numbers(1, 4)


def test_large_entries_fill_segments_and_few_small_ones_wait(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 1_000)
    monkeypatch.setattr(writing, "SMALL_BYTES", 200)
    log, time = RawMemoryLog(), Time()
    archive = writer(place, log, interval_s=60, time=time)
    log.append(12, size=300)
    last = log.append(1, size=10)
    assert archive.archive(last) == "12-0", "the last entry waits"
    assert [span.last[0] for span in History(place).spans] == [6, 12]
    time.now = 61
    assert archive.archive(last) == last
    assert positions(place) == numbers(1, 13)
    last = log.append(1)
    assert archive.archive(last) == "13-0"
    assert archive.archive(last, everything=True) == last


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6), st.booleans(), st.booleans()), max_size=12))
def test_a_crash_anywhere_loses_nothing_and_repeats_nothing(turns: list[tuple[int, int, bool, bool]]) -> None:
    """Each turn appends entries and archives up to some; then a crash comes before the trimming, or does not."""
    place = open_place(f"memory://{uuid.uuid4().hex}", "g")
    log = RawMemoryLog(at_once=2)
    archive = writer(place, log)
    appended = end = 0
    for count, behind, crash, trim in turns:
        log.append(count)
        appended += count
        end = max(end, appended - behind)
        trimmable = archive.archive(f"{end}-0")
        if crash:
            archive = writer(place, log)
        if trim:
            log.trim(trimmable)
        archived = positions(place)
        assert archived == numbers(1, len(archived))
        kept = [entry[0].decode() for entry in log.entries if entry[0].decode() not in archived]
        assert archived + kept == numbers(1, appended)


def test_a_write_that_ended_midway_is_not_read_and_is_deleted(tmp_path: Path) -> None:
    place, log = DirectoryPlace(tmp_path), RawMemoryLog()
    torn = tmp_path / ".0-0_3-0.segment.abcd.part"
    torn.write_bytes(b"olad")
    log.append(3)
    assert History(place).spans == []
    writer(place, log).archive("3-0")
    assert positions(place) == numbers(1, 3)
    assert not torn.exists()


def test_two_writers_of_the_same_log_do_not_repeat_entries(place: Place) -> None:
    log = RawMemoryLog()
    log.append(5)
    one, two = writer(place, log), writer(place, log)
    one.begin()
    two.archive("3-0")
    log.append(4)
    one.archive("5-0")
    two.archive("9-0")
    assert len(History(place).spans) == 3
    assert positions(place) == numbers(1, 9)


def test_a_worker_that_was_superseded_writes_nothing(place: Place) -> None:
    log = RawMemoryLog(newest=False)
    log.append(5)
    assert writer(place, log).archive("5-0") == "0-0"
    assert positions(place) == []


def test_an_archive_of_another_log_is_not_written(place: Place) -> None:
    log = RawMemoryLog()
    writer(place, log).archive(log.append(5))
    other = RawMemoryLog()
    other.append(2)
    with pytest.raises(OtherHistory, match="goes up to 5-0"):
        writer(place, other).archive("2-0")
    assert positions(place) == numbers(1, 5)


def test_entries_that_were_trimmed_without_the_archive_are_a_gap_that_is_named(place: Place) -> None:
    log = RawMemoryLog()
    archive = writer(place, log)
    archive.archive(log.append(5))
    log.append(5)
    log.trim("8-0")
    assert archive.archive("10-0") == "10-0"
    with pytest.raises(HistoryBroken, match=r"entries at 5-1\.\.8-0.*--without 5-1\.\.8-0"):
        positions(place)
    spans = [parse_left_out("5-1..8-0")]
    read = [entry for segment in History(place).segments(left_out=spans) for entry in segment.entries]
    assert [position.decode() for position, _ in read] == [*numbers(1, 5), "9-0", "10-0"]


def test_an_archive_that_begins_late_says_so(place: Place) -> None:
    log = RawMemoryLog()
    log.append(6)
    log.trim("4-0")
    writer(place, log).archive("6-0")
    with pytest.raises(HistoryBroken, match=r"0-1\.\.4-0: the archive begins after them"):
        positions(place)


@pytest.mark.parametrize("damaged", ["", "cut", "longer"])
def test_a_damaged_segment_is_named_with_its_positions(damaged: str, tmp_path: Path) -> None:
    place, log = DirectoryPlace(tmp_path), RawMemoryLog()
    archive = writer(place, log)
    for _ in range(3):
        archive.archive(log.append(2))
    [path] = tmp_path.glob("2-0_*.segment")
    content = path.read_bytes()
    path.write_bytes({"": b"", "cut": content[:-3], "longer": content + b"x"}[damaged])
    with pytest.raises(HistoryBroken, match=r"entries at 2-1\.\.4-0: 2-0_4-0.segment") as broken:
        positions(place)
    segments = History(place).segments(left_out=[broken.value.missing])
    assert [entry[0].decode() for segment in segments for entry in segment.entries] == ["1-0", "2-0", "5-0", "6-0"]


def test_a_rebuilt_log_is_recorded_in_the_archive(place: Place) -> None:
    log = RawMemoryLog()
    writer(place, log).archive(log.append(5))
    rebuilt = RawMemoryLog(without=["4-0..5-0"])
    rebuilt.append(3)
    writer(place, rebuilt).archive("3-0")
    assert [str(span) for span in History(place).left_out] == ["4-0..5-0"]


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = open_place(str(tmp_path / "file"), "g")
    with pytest.raises(ArchiveUnusable, match=r"file/g cannot be used: Not a directory"):
        place.write("a", b"")
    with pytest.raises(ArchiveUnusable, match="cannot be opened"):
        open_place("no-such-kind://user:secret@host/x", "g")
    with pytest.raises(ArchiveUnusable) as error:
        UrlPlace("memory://user:secret@host/x").read("missing")
    assert "secret" not in str(error.value)


def test_verify_checks_archives(tmp_path: Path, runner: CliRunner) -> None:
    log = RawMemoryLog()
    archive = writer(DirectoryPlace(tmp_path / "archive" / "g"), log)
    for _ in range(2):
        archive.archive(log.append(2))
    done = runner.invoke(app, ["verify", str(tmp_path / "archive"), "--json"])
    [finding] = json.loads(done.output)
    assert done.exit_code == 0
    assert (finding["whole"], finding["position"]) == (True, "4-0")
    next((tmp_path / "archive" / "g").glob("0-0_*")).unlink()
    done = runner.invoke(app, ["verify", str(tmp_path / "archive"), "--json"])
    assert done.exit_code == 1
    assert "0-1..2-0" in json.loads(done.output)[0]["problem"]
