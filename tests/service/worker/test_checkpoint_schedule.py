"""Checkpoints are written only of a state that has changed and to which nothing is owed. The files are real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as Unreachable

from olad_core.engine import Engine
from service.worker.attempts import Attempts
from service.worker.checkpoint import list_checkpoints, read_checkpoint
from service.worker.checkpoint_schedule import CheckpointSchedule
from service.worker.checkpointer import Checkpointer
from service.worker.growing import Grower
from service.worker.lane import Lane
from service.worker.learning import Learning
from service.worker.metrics import WorkerMetrics
from service.worker.pace import LearningPace
from service.worker.row_pace import RowPace
from service.worker.stop import Stop
from service.worker.turn_times import TurnTimes
from tests.device import DEVICE
from tests.olad_core.runs import PAIR, stream
from tests.service.worker.by_hand import Site

INTERVAL_S = 30.0


class Schedule:
    """A schedule, and the lane whose state it writes."""

    def __init__(self, folder: Path, checkpointer: Checkpointer) -> None:
        self.site = Site(folder)
        self.stop = Stop()
        metrics = WorkerMetrics()
        rows = RowPace(100, self.site.clock)
        times = TurnTimes(self.site.clock)
        learning = Learning(LearningPace(100, 0.0), rows, metrics, self.site.clock, Grower(), times)
        attempts = Attempts(self.site.attempts_file)
        site, engine = self.site, Engine(PAIR, DEVICE)
        self.lane = Lane(
            engine, site.log, site.predictions, site.requests, attempts, learning, rows, metrics, times, fixed_steps=1
        )
        self.checkpoints = CheckpointSchedule(
            checkpointer, self.site.log, INTERVAL_S, metrics, self.site.clock, self.stop
        )
        self._checkpointer = checkpointer
        self.site.log.append(*stream(turns=6))

    def apply_next(self) -> None:
        """Apply an entry, take the steps that follow, and publish what both have changed."""
        self.lane.apply(self.lane.read()[:1])
        self.lane.publish_changes()

    def after_interval(self) -> bool:
        """Whether the schedule has begun a checkpoint once it was due, and memory was there for it."""
        self.site.clock.advance(INTERVAL_S + 1)
        for _ in range(2):
            if self.checkpoints.follow(self.lane):
                return True
            # Memory is prepared in the background.
            while self._checkpointer.busy:
                pass
        return False

    def positions(self) -> list[str]:
        """Positions of the checkpoints on disk."""
        return [str(read_checkpoint(path).values["position"]) for path in list_checkpoints(self.site.checkpoints)]


@pytest.fixture
def schedule(tmp_path: Path) -> Iterator[Schedule]:
    with Checkpointer(tmp_path / "checkpoints", keep=2) as checkpointer:
        yield Schedule(tmp_path, checkpointer)


def test_a_checkpoint_is_due_an_interval_after_the_last_one_began(schedule: Schedule) -> None:
    schedule.apply_next()
    schedule.site.clock.advance(INTERVAL_S)
    assert not schedule.checkpoints.follow(schedule.lane)
    assert schedule.after_interval()
    assert schedule.checkpoints.wait()
    schedule.apply_next()
    schedule.site.clock.advance(INTERVAL_S)
    assert not schedule.checkpoints.follow(schedule.lane)
    assert schedule.after_interval()
    assert schedule.checkpoints.wait()
    assert schedule.positions() == ["1-0", "2-0"]


def test_the_same_state_is_not_written_again(schedule: Schedule) -> None:
    schedule.apply_next()
    assert schedule.after_interval()
    assert schedule.checkpoints.wait()
    assert not schedule.after_interval()
    schedule.lane.engine.learn(1)
    schedule.lane.publish_changes()
    assert schedule.after_interval(), "a training step has changed the state"
    assert schedule.checkpoints.wait()
    assert not schedule.after_interval()
    schedule.checkpoints.reset()
    assert schedule.after_interval(), "another engine may have another state at the same position"


def test_nothing_is_written_while_something_is_owed(schedule: Schedule) -> None:
    schedule.site.wire.fail_once("publish")
    with pytest.raises(Unreachable):
        schedule.apply_next()
    assert not schedule.after_interval()
    assert not schedule.checkpoints.begin(schedule.lane)
    schedule.lane.settle()
    schedule.lane.publish_changes()
    assert schedule.after_interval()
    assert schedule.checkpoints.wait()
    assert schedule.positions() == ["1-0"]


def test_the_log_is_trimmed_up_to_the_oldest_kept_checkpoint(schedule: Schedule) -> None:
    trimmed = []
    for _ in range(4):
        schedule.apply_next()
        assert schedule.after_interval()
        assert schedule.checkpoints.wait()
        newest = schedule.checkpoints.newest
        assert newest is not None
        trimmed.append((newest.position, schedule.site.log.trimmed))
    # Two are kept; before there are two, the log is not needed before the only one.
    assert trimmed[1:] == [("2-0", "1-0"), ("3-0", "2-0"), ("4-0", "3-0")]
    assert [entry.position for entry in schedule.site.log.entries] == ["4-0", "5-0", "6-0"]


def test_a_stop_does_not_wait_for_memory_to_be_prepared(schedule: Schedule) -> None:
    schedule.apply_next()
    assert not schedule.checkpoints.begin(schedule.lane)
    schedule.stop.requested = True
    assert schedule.checkpoints.begin(schedule.lane)
    assert schedule.checkpoints.wait()
    assert schedule.positions() == ["1-0"]
