"""The time of turns is measured once, and reaches the choice of what is served."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from olad_core.serving.load import TurnTime
from service.store.status import ServingStatus
from service.worker.lane import Lane
from service.worker.metrics import WorkerMetrics
from service.worker.serving_report import serving_status
from service.worker.turn_times import TurnTimes
from tests.olad_core.runs import Run, stream
from tests.service.worker.by_hand import HandClock, Site
from tests.service.worker.test_lane import lane_of
from tests.service.worker.test_reporting import status_of


def fail_after(seconds: float, times: TurnTimes, clock: HandClock) -> None:
    with times.of("own"):
        clock.advance(seconds)
        raise ZeroDivisionError


def test_times_within_each_other_count_once() -> None:
    clock = HandClock()
    times = TurnTimes(clock)
    clock.advance(1)
    with times.of("shared"):
        clock.advance(2)
    with times.of("slices"):
        clock.advance(3)
        with times.of("own"):
            clock.advance(4)
    with pytest.raises(ZeroDivisionError):
        fail_after(5, times, clock)
    times.applied(7)
    assert times.take() == TurnTime(7, elapsed_s=15.0, shared_s=2.0, own_s=5.0, slices_s=7.0)
    clock.advance(1)
    assert times.take() == TurnTime(0, elapsed_s=1.0)


def turns(lane: Lane, site: Site, *, publishing_s: float) -> None:
    """Apply every entry in a turn of its own, in which publishing takes so long, once a version is served."""
    lane.apply(lane.read()[:1])
    while lane.engine.versions.served is None:
        lane.engine.learn(1)
    publish = site.predictions.publish

    def slow(publication: object) -> None:
        site.clock.advance(publishing_s)
        publish(publication)  # type: ignore[arg-type]

    site.predictions.publish = slow  # type: ignore[method-assign]
    while entries := lane.read():
        lane.apply(entries[:1])
        lane.learn_in_time(loaded=False)
        site.clock.advance(0.01)


def serving(lane: Lane) -> ServingStatus:
    return serving_status(lane.engine)


@pytest.mark.parametrize(("publishing_s", "fits"), [(0.0001, True), (0.05, False)])
def test_the_load_is_what_the_lane_measures(tmp_path: Path, publishing_s: float, fits: bool) -> None:
    site = Site(tmp_path)
    lane = lane_of(site)
    site.log.append(*stream(turns=24))
    turns(lane, site, publishing_s=publishing_s)
    found = {choice.name: choice for choice in serving(lane).choices}
    assert found.keys() == {"gcn", "sage", "group"}
    load = found["group"].load
    assert load is not None
    assert (load <= 1) == fits
    cost = found["sage"].cost_us
    assert cost is not None
    assert cost > 0


def test_catching_up_after_a_start_is_no_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path)
    lane = lane_of(site)
    refresh = lane.engine.refresh

    def slow(most_work: int | None = None) -> int:
        site.clock.advance(5.0)
        return refresh(most_work)

    monkeypatch.setattr(lane.engine, "refresh", slow)
    site.log.append(*stream(turns=4))
    lane.replay(site.log.entries)
    site.clock.advance(0.01)
    lane.learn_in_time(loaded=False)
    assert lane.engine.versions.load.measured
    assert not lane.engine.versions.load.exceeds("group")


def test_with_fixed_steps_nothing_is_measured(tmp_path: Path) -> None:
    site = Site(tmp_path)
    lane = lane_of(site, fixed_steps=1)
    site.log.append(*stream(turns=8))
    turns(lane, site, publishing_s=0.05)
    assert not lane.engine.versions.load.measured
    assert {(choice.cost_us, choice.load) for choice in serving(lane).choices} == {(None, None)}


def test_the_report_and_the_metrics_name_what_keeps_the_group_from_being_served(tmp_path: Path) -> None:
    site = Site(tmp_path)
    lane = lane_of(site)
    site.log.append(*stream(turns=24))
    turns(lane, site, publishing_s=0.05)
    assert serving(lane).withheld == "load"
    text = WorkerMetrics().text(status_of(Run(engine=lane.engine))).decode()
    assert 'olad_worker_group_withheld{reason="load"} 1.0' in text
    loads = {name: float(value) for name, value in re.findall(r'olad_worker_load{choice="(\w+)"} (\S+)', text)}
    assert loads["group"] > max(1.0, loads["gcn"], loads["sage"])
    assert 'olad_worker_event_cost_seconds{choice="group"}' in text
