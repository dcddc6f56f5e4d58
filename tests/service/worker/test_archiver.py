"""The archive beside the loop: the log is trimmed after its entries are archived, and not where that fails."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from olad_core.schema import HeldSchema
from service.archive.place import ArchiveUnusable, open_place
from service.archive.writer import ArchiveWriter
from service.store.fence import LogLost
from service.worker.archiver import RETRY_AFTER_S, Archiver
from service.worker.lane import Lane
from service.worker.recovery import check_log
from tests.service.archive.places import RawMemoryLog, positions
from tests.service.worker.by_hand import HandClock, MemoryLog, Wire


class FailingPlace:
    """A place that refuses what is written while it is full."""

    def __init__(self, name: str) -> None:
        self.place = open_place(f"memory://{name}", "g")
        self.full = False
        self.name = self.place.name

    def names(self) -> list[str]:
        return self.place.names()

    def read(self, name: str) -> bytes:
        return self.place.read(name)

    def write(self, name: str, content: bytes) -> None:
        if self.full:
            raise ArchiveUnusable("no space left on device")
        self.place.write(name, content)

    def clear_parts(self) -> None:
        self.place.clear_parts()


class Site:
    """An archiver with a log and a place, and a clock that is set by hand."""

    def __init__(self, graph: str, interval_s: float = 0.0) -> None:
        self.log, self.clock, self.place = RawMemoryLog(), HandClock(), FailingPlace(graph)
        writer = ArchiveWriter(self.place, "g", self.log, self.clock.monotonic, interval_s)
        self.archiver = Archiver(writer, self.clock)

    def finished(self) -> str | None:
        """What the loop may trim after the thread has ended its run."""
        self.archiver.follow()
        self.archiver.end_run()
        return self.archiver.follow()


@pytest.fixture
def site(graph: str) -> Iterator[Site]:
    site = Site(graph)
    with site.archiver:
        yield site


def test_nothing_may_be_trimmed_before_it_is_wanted_and_archived(site: Site) -> None:
    site.log.append(5)
    assert site.finished() is None
    site.archiver.want("3-0")
    assert site.finished() == "3-0"
    assert site.finished() is None, "it was answered"
    assert positions(site.place) == ["1-0", "2-0", "3-0"]
    status = site.archiver.status
    assert (status.position, status.failures, status.problem) == ("3-0", 0, None)
    assert status.written_at == site.clock.wall()


def test_a_full_disk_is_reported_and_tried_again_and_nothing_may_be_trimmed(site: Site) -> None:
    site.log.append(5)
    site.place.full = True
    site.archiver.want("5-0")
    assert site.finished() is None
    assert (site.archiver.status.failures, site.archiver.status.problem) == (1, "no space left on device")
    assert site.finished() is None
    assert site.archiver.status.failures == 1, "not tried at once"
    site.place.full = False
    site.clock.advance(RETRY_AFTER_S)
    assert site.finished() == "5-0"
    assert (site.archiver.status.failures, site.archiver.status.problem) == (1, None)


def test_few_entries_wait_for_the_interval_without_a_further_checkpoint(graph: str) -> None:
    site = Site(graph, interval_s=60.0)
    with site.archiver:
        site.archiver.want(site.log.append(5))
        assert site.finished() is None
        site.clock.advance(61)
        assert site.finished() == "5-0"


def test_an_archive_of_another_log_is_a_problem_that_is_reported(site: Site) -> None:
    site.archiver.want(site.log.append(5))
    assert site.finished() == "5-0"
    other = Site(site.place.name.removeprefix("memory://").removesuffix("/g"))
    with other.archiver:
        other.archiver.want(other.log.append(2))
        assert other.finished() is None
        assert "olad rebuild" in (other.archiver.status.problem or "")


def test_what_is_about_to_be_trimmed_can_be_archived_at_once(graph: str) -> None:
    site = Site(graph, interval_s=60.0)
    with site.archiver:
        site.log.append(4)
        site.archiver.archive_now("4-0")
        assert positions(site.place) == ["1-0", "2-0", "3-0", "4-0"]


def test_what_an_accepted_loss_trims_is_archived_first_or_nothing_is_adopted(site: Site) -> None:
    log = MemoryLog(Wire())
    held = SimpleNamespace(position="9-0", applied_events=9, graph=SimpleNamespace(schema=HeldSchema()))
    lane = cast("Lane", SimpleNamespace(engine=held))
    site.log.append(4)
    site.place.full = True
    with pytest.raises(LogLost, match="cannot be archived: no space left"):
        check_log(log, lane, "9-0", site.archiver)
    assert log.adopted == []
    site.place.full = False
    check_log(log, lane, "9-0", site.archiver)
    assert log.adopted == [("9-0", 9)]
    assert positions(site.place) == ["1-0", "2-0", "3-0", "4-0"]
