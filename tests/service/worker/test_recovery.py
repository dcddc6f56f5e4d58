"""From a checkpoint to a worker that serves, without process and Redis: failures, entries that kill, lost logs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from olad_core.events import Event, UpsertNode
from olad_core.graph import Changes, DynamicGraph
from service.store.fence import LogLost
from service.worker.attempts import KILLED, Attempts
from service.worker.checkpoint import list_checkpoints, read_checkpoint
from tests.olad_core.runs import stream
from tests.service.worker.by_hand import Site

BOOM = 3
"""Number of the entry that fails."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def entries(count: int = 5) -> list[list[Event]]:
    """Each creates a node of its own number first."""
    return [[UpsertNode(f"entry {n}"), *events] for n, events in enumerate(stream(turns=count), start=1)]


class Failing:
    """Applying entry :data:`BOOM` fails in the middle, some times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.applied: list[int] = []
        """Numbers of the entries whose application was begun, in order."""
        self._left = times
        apply = DynamicGraph.apply

        def failing(graph: DynamicGraph, events: Sequence[Event], time: float) -> Changes:
            first = events[0]
            assert isinstance(first, UpsertNode)
            self.applied.append(int(str(first.id).split()[1]))
            if self.applied[-1] == BOOM and self._left:
                self._left -= 1
                apply(graph, events[:2], time)
                raise RuntimeError("a bug")
            return apply(graph, events, time)

        monkeypatch.setattr(DynamicGraph, "apply", failing)


def nodes_of(site: Site) -> set[str]:
    """Which of the entries' own nodes are in the last checkpoint."""
    graph = site.restore().graph
    return {str(node) for node in graph.ids(graph.alive.nonzero()[0]) if str(node).startswith("entry")}


def test_an_entry_that_fails_gets_a_second_chance_alone_and_is_then_skipped(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(monkeypatch, times=100)
    site.log.append(*entries())
    site.run()
    assert failing.applied == [1, 2, 3, 1, 2, 3, 1, 2, 4, 5]
    rejected = [event for publication in site.predictions.published for event in publication.rejected]
    assert [(event.position, event.detail) for event in rejected if event.reason == "apply-failed"] == [
        ("3-0", "RuntimeError: a bug")
    ]
    assert nodes_of(site) == {"entry 1", "entry 2", "entry 4", "entry 5"}
    assert site.predictions.position == "5-0"
    assert site.predictions.published[-1].applied_events == sum(map(len, entries()))


def test_an_entry_that_fails_once_is_applied_at_the_second_attempt(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(monkeypatch, times=1)
    site.log.append(*entries())
    site.run()
    assert failing.applied == [1, 2, 3, 1, 2, 3, 4, 5]
    assert nodes_of(site) == {f"entry {number}" for number in range(1, 6)}


def test_the_way_back_leads_to_the_newest_checkpoint(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.log.append(*entries()[:2])
    site.run()
    failing = Failing(monkeypatch, times=100)
    site.log.append(*entries()[2:])
    site.run()
    # Entries 1 and 2 are part of the checkpoint. Alone means alone: 4 and 5 are turns of their own.
    assert failing.applied == [3, 3, 4, 5]


def test_the_reason_is_stored_though_redis_is_away_when_an_entry_is_skipped(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(monkeypatch, times=100)
    site.log.append(*entries(BOOM)[BOOM - 1 :])
    skip = site.log.skip
    attempts = iter((True, True, False))

    def unreliable(position: str, reason: str) -> None:
        if next(attempts):
            site.wire.fail_once("skip")
        skip(position, reason)

    monkeypatch.setattr(site.log, "skip", unreliable)
    site.run()
    assert failing.applied == [3, 3]
    assert len(site.clock.slept) == 2
    (rejected,) = [event for publication in site.predictions.published for event in publication.rejected]
    assert rejected.detail == "RuntimeError: a bug"


def test_an_entry_that_has_killed_two_starts_in_a_row_is_skipped(site: Site) -> None:
    site.log.append(*entries())
    for _ in range(2):
        dying = Attempts(site.attempts_file)
        application = dying.applying(site.log.entries[BOOM - 1 : BOOM])
        application.__enter__()
        dying.close()
    site.run()
    rejected = [event for publication in site.predictions.published for event in publication.rejected]
    assert [(event.position, event.detail) for event in rejected if event.op == "batch"] == [("3-0", KILLED)]
    assert nodes_of(site) == {"entry 1", "entry 2", "entry 4", "entry 5"}


def test_what_readers_have_seen_is_applied_again_before_anything_is_published(site: Site) -> None:
    site.log.append(*entries())
    site.predictions.position = "4-0"
    site.run()
    assert [publication.position for publication in site.predictions.published][:2] == ["5-0", "5-0"]


def test_a_log_that_ends_before_what_readers_have_seen_is_lost(site: Site) -> None:
    site.log.append(*entries(2))
    site.predictions.position = "4-0"
    with pytest.raises(LogLost, match=r"readers have seen a later position than the log's last, 2-0"):
        site.run()
    assert site.predictions.published == []


def test_a_stop_before_the_worker_has_caught_up_publishes_and_writes_nothing(site: Site) -> None:
    site.log.append(*entries(4))
    site.predictions.position = "4-0"
    with site.worker(steps_per_entry=1) as worker:
        beat = site.predictions.heartbeat

        def stop_at_the_first_beat(ttl_ms: int) -> None:
            beat(ttl_ms)
            worker.stop()

        site.predictions.heartbeat = stop_at_the_first_beat  # type: ignore[method-assign]
        worker.run()
    assert "read" not in site.wire.operations
    assert site.predictions.published == []
    assert list_checkpoints(site.checkpoints) == []


def versions_after(site: Site, **settings: object) -> list[int]:
    """Numbers of the versions that a run serves, then the number of the next one."""
    site.log.append(*entries())
    site.predictions.version = 7
    site.run(**settings)
    served = [publication.served.shown for publication in site.predictions.published if publication.served]
    return [*served, site.restore().versions.next_shown]


def test_versions_are_numbered_after_those_that_readers_know(site: Site) -> None:
    assert min(versions_after(site)) == 8


def test_a_run_with_fixed_steps_repeats_the_numbers_of_its_versions(site: Site) -> None:
    assert min(versions_after(site, steps_per_entry=2)) == 1


def lose_the_state(site: Site) -> None:
    """The log no longer holds the position of the checkpoint."""
    site.log.append(*entries(3))
    site.run()
    site.log.trimmed = "0-0"
    site.log.entries.clear()


def test_a_log_that_lost_entries_is_refused_with_the_setting_that_accepts_it(site: Site) -> None:
    lose_the_state(site)
    published = len(site.predictions.published)
    for accepted in (None, "2-0"):
        with pytest.raises(LogLost, match="OLAD_ACCEPT_LOG_LOSS=3-0 to go on"):
            site.run(accept_log_loss=accepted)
    assert len(site.predictions.published) == published
    assert site.log.adopted == []


def test_a_challenger_adopts_no_log(site: Site) -> None:
    lose_the_state(site)
    with pytest.raises(LogLost, match="variant wide begins on the graph of another"):
        site.run(accept_log_loss="3-0", variant="wide")
    assert site.log.adopted == []


def test_a_loss_that_is_accepted_is_adopted_once(site: Site) -> None:
    lose_the_state(site)
    (path,) = list_checkpoints(site.checkpoints)
    applied = read_checkpoint(path).values["applied_events"]
    site.run(accept_log_loss="3-0")
    assert site.log.adopted == [("3-0", applied)]
