"""Whole runs of a worker in this process: where an operation on a store fails, the end is the same to the byte."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.store.status import WorkerStatus
from service.worker import reporting
from service.worker.checkpoint import list_checkpoints, read_checkpoint
from service.worker.reporting import report
from tests.olad_core.runs import Reader, stream
from tests.service.worker.by_hand import Site

TURNS = 4


def run(folder: Path, failing: set[int], *, answer_is_lost: bool = False) -> Site:
    """Run a worker over a few entries; these operations on the stores fail."""
    folder.mkdir()
    site = Site(folder)
    site.wire.failing, site.wire.answer_is_lost = failing, answer_is_lost
    site.log.append(*stream(turns=TURNS))
    site.run(steps_per_entry=2)
    return site


def state_of(site: Site) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The last checkpoint."""
    checkpoint = read_checkpoint(list_checkpoints(site.checkpoints)[-1])
    return checkpoint.values, {name: tensor.numpy().tobytes() for name, tensor in checkpoint.tensors.items()}


@pytest.mark.parametrize("answer_is_lost", [False, True])
def test_redis_may_fail_at_every_third_operation_and_nothing_is_different_in_the_end(
    tmp_path: Path, answer_is_lost: bool
) -> None:
    whole = run(tmp_path / "whole", set())
    expected = state_of(whole)
    seen = seen_in(whole)
    assert expected[0]["position"] == f"{TURNS}-0"
    assert seen[0] is not None
    # The read before the first wait finds nothing and requests the stop. Operations after it are tried once.
    stops_at = whole.wire.operations.index("wait")
    for number in range(1 + answer_is_lost, stops_at - 1, 3):
        site = run(tmp_path / str(number), {number, number + 1}, answer_is_lost=answer_is_lost)
        assert site.clock.slept == [0.5, 0.5]
        assert state_of(site) == expected, f"operation {number}, {whole.wire.operations[number - 1]}"
        assert seen_in(site) == seen


def seen_in(site: Site) -> tuple[int | None, dict[int, dict[str, bytes]]]:
    """What readers have in the end: the served version, and a table of rows a version."""
    reader = Reader()
    for publication in site.predictions.published:
        reader.read(publication)
    rows = {v: {node: row.tobytes() for node, row in table.items()} for v, table in reader.tables.items()}
    return reader.served, rows


def test_it_reports_once_a_second_and_states_whether_it_rests(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.log.append(*stream(turns=2))
    with site.worker(steps_per_entry=2) as worker:
        site.log.when_empty = lambda: worker.stop() if len(site.requests.waits_ms) == 8 else None
        worker.run()
    # Eight waits of half a second; the turn in which a second has passed reports.
    assert len(site.predictions.statuses) == 4
    statuses = site.predictions.statuses
    assert {status.learning.state for status in statuses} == {"resting"}
    assert [later.updated_at - earlier.updated_at for earlier, later in itertools.pairwise(statuses)] == [1.0] * 3
    assert statuses[0].events_per_s == sum(map(len, stream(turns=2)))
    assert statuses[1].events_per_s == 0.0


def test_at_rest_nothing_is_summed_up_again_before_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    first, *later = stream(turns=2)
    site.log.append(first)
    made: list[int] = []

    def counted(*args: Any, **named: Any) -> WorkerStatus:
        made.append(len(site.predictions.statuses))
        return report(*args, **named)

    def when_empty() -> None:
        waits = len(site.requests.waits_ms)
        if waits == 20 and later:
            site.log.append(later.pop())
        elif waits >= 40:
            worker.stop()

    monkeypatch.setattr(reporting, "report", counted)
    with site.worker(steps_per_entry=2) as worker:
        site.log.when_empty = when_empty
        worker.run()
    statuses = site.predictions.statuses
    assert len(statuses) == 20
    # The first report has the rates of the last second, and so has the one after the entry. Each is made once more.
    assert made[:2] == [0, 1]
    assert made[3:] == [made[2] + 1]
    before, after = statuses[made[2] - 1], statuses[-1]
    assert (before.position, after.position) == ("1-0", "2-0")
    assert after.applied_events > before.applied_events
    assert [later.updated_at - earlier.updated_at for earlier, later in itertools.pairwise(statuses)] == [1.0] * 19


def reported(site: Site) -> int:
    """Scored nodes that a worker reports, which works until it has waited for three seconds; the first report fails."""
    before = len(site.requests.waits_ms)
    with site.worker(steps_per_entry=2) as worker:
        site.log.when_empty = lambda: worker.stop() if len(site.requests.waits_ms) == before + 6 else None
        site.wire.fail_once("status")
        worker.run()
    return site.predictions.statuses[-1].served_score.scored


def test_how_predictions_scored_is_stored_once_and_is_of_the_students_that_are_there(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.log.append(*stream(turns=8))
    scored = reported(site)
    stored = site.predictions.outcomes
    assert len(stored) == len(set(stored)) == scored > 0
    site.log.append(*stream(turns=12)[8:])
    more = reported(site)
    assert len(stored) == len(set(stored)) == more > scored
    # Other students begin on the same graph.
    site.config = replace(site.config, renewal="anew")
    assert reported(site) == more
    assert stored == []


def test_a_worker_reports_what_it_costs(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.log.append(*stream(turns=3))
    site.run(steps_per_entry=1)
    site.log.append(*stream(turns=5)[3:])
    began = site.clock.wall()
    reported(site)
    status = site.predictions.statuses[-1]
    cost = status.cost
    assert cost is not None
    # The clock of the test counts a quarter of a second of processors in a second.
    assert cost.cpu_share == 0.25
    assert cost.cpu_s == pytest.approx((status.updated_at - began) / 4)
    assert cost.events == sum(map(len, stream(turns=5)[3:]))


def test_the_first_report_does_not_count_the_steps_of_the_checkpoint(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.log.append(*stream(turns=3))
    site.run(steps_per_entry=5)
    assert site.restore().trainer is not None
    with site.worker(steps_per_entry=5) as worker:
        site.log.when_empty = lambda: worker.stop() if len(site.requests.waits_ms) == 3 else None
        worker.run()
    assert site.predictions.statuses[-1].learning.steps > 0
    assert site.predictions.statuses[-1].steps_per_s == 0.0
