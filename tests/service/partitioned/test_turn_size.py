"""Turns of ranks take about a second, however many events wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from olad_core.events import UpsertNode
from service.partitioned.checkpoints import PartWritten
from service.partitioned.leading import Leader
from service.partitioned.pace import RankPace
from service.partitioned.turn_size import TURN_S, TurnSize
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from service.store.request_reader import RequestReader
from service.worker.attempts import Attempts
from service.worker.lane import MAX_EVENTS_PER_TURN
from service.worker.metrics import WorkerMetrics
from service.worker.stop import Stop
from tests.service.entries import append
from tests.service.worker.by_hand import HandClock


def turns_of(seconds_per_event: float, turns: int) -> list[int]:
    """Events of each of so many full turns."""
    size, found = TurnSize(), []
    for _ in range(turns):
        found.append(size.most)
        size.follow(size.most, size.most * seconds_per_event)
    return found


def test_turns_become_as_long_as_the_limit_and_no_longer() -> None:
    assert turns_of(0.005, 5) == [100, 200, 200, 200, 200]
    assert turns_of(0.02, 3) == [100, 50, 50]
    assert turns_of(1e-6, 6)[-1] == MAX_EVENTS_PER_TURN
    assert turns_of(60.0, 3) == [100, 1, 1]


def test_a_short_turn_with_few_events_changes_nothing() -> None:
    size = TurnSize()
    size.follow(0, 100.0)
    size.follow(3, 0.9 * TURN_S)
    assert size.most == 100


@pytest.fixture
def leader_and_clock(redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[tuple[Leader, HandClock]]:
    clock = HandClock()
    with closing(Attempts(tmp_path / "attempts")) as attempts:
        yield (
            Leader(
                LogReader(redis_client, keys),
                PredictionWriter(redis_client, keys),
                RequestReader(redis_client, keys),
                attempts,
                WorkerMetrics(),
                clock,
                3600,
                Stop(),
                RankPace(100, clock.monotonic(), None),
            ),
            clock,
        )


def test_the_first_rank_proposes_fewer_events_after_a_slow_turn(
    redis_client: redis.Redis, keys: Keys, leader_and_clock: tuple[Leader, HandClock]
) -> None:
    leader, clock = leader_and_clock
    append(redis_client, keys, [[UpsertNode(f"{entry}-{node}") for node in range(10)] for entry in range(40)])
    leader.begin()
    checkpoints: Any = SimpleNamespace(next_number=lambda: 1)
    position, taken = "0-0", []
    for seconds in (10.0, 0.1, 1.0):
        follower: Any = SimpleNamespace(position=position, serving=SimpleNamespace(learner=None))
        entries, plan = leader.propose(follower, checkpoints, PartWritten(), replays=False)
        assert (plan.upto, plan.events) == (entries[-1].position, 10 * len(entries))
        position = plan.upto
        taken.append(plan.events)
        clock.advance(seconds)
    assert taken == [100, 10, 40]
