"""Trees that are grown beside the loop: taken between turns, never waited for, given up at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from olad_core.engine import Engine
from olad_core.events import UpsertNode
from olad_core.trees.growth import Growth
from olad_core.trees.member import FEWEST_LABELS
from service.worker.growing import REST_OF_FAILED_S, Followed, Grower
from tests.device import DEVICE
from tests.olad_core.runs import PAIR
from tests.olad_core.streams import two_communities


def engine_with_labels() -> Engine:
    """One for which trees are due."""
    engine = Engine(replace(PAIR, arrivals_scored=1000), DEVICE)
    engine.apply("1-0", two_communities(80), 0.0)
    engine.refresh()
    assert engine.trees is not None
    assert engine.trees.labels_seen >= FEWEST_LABELS
    assert engine.trees.due
    return engine


@pytest.fixture
def grower() -> Iterator[Grower]:
    with Grower() as one:
        yield one


def until_followed(grower: Grower, engine: Engine, now: float = 0.0) -> Followed:
    """What becomes of the trees that are being grown."""
    ended = time.monotonic() + 60
    while time.monotonic() < ended:
        if (followed := grower.follow(engine, now)) != "nothing" or not grower.busy:
            return followed
        time.sleep(0.01)
    raise TimeoutError


def test_they_are_the_trees_that_the_engine_would_have_grown_itself(grower: Grower) -> None:
    beside, alone = engine_with_labels(), engine_with_labels()
    assert beside.trees is not None
    assert alone.trees is not None
    assert grower.follow(beside, 0.0) == "nothing"
    assert grower.busy
    # What comes meanwhile is not part of them.
    beside.apply("2-0", [UpsertNode(f"later-{n}", [1.0, 0.0, 0.0], "odd") for n in range(3)], 1.0)
    beside.refresh()
    assert until_followed(grower, beside) == "taken"
    alone.learn(0)
    assert beside.trees.forest is not None
    assert alone.trees.forest is not None
    for name, array in alone.trees.forest.state().items():
        assert beside.trees.forest.state()[name].tobytes() == array.tobytes(), name
    assert not grower.busy


def test_after_trees_the_thread_rests(grower: Grower) -> None:
    engine = engine_with_labels()
    assert engine.trees is not None
    grower.follow(engine, 0.0)
    assert until_followed(grower, engine, now=10.0) == "taken"
    engine.apply("2-0", [UpsertNode(f"later-{n}", [1.0, 0.0, 0.0], "odd") for n in range(60)], 1.0)
    engine.refresh()
    assert engine.trees.due
    grower.follow(engine, 39.0)
    assert not grower.busy
    grower.follow(engine, 40.0)
    assert grower.busy


def test_trees_of_an_engine_that_was_replaced_are_dropped(grower: Grower) -> None:
    first, second = engine_with_labels(), engine_with_labels()
    assert first.trees is not None
    assert second.trees is not None
    grower.follow(first, 0.0)
    assert until_followed(grower, second) == "taken"
    assert first.trees.forest is None
    assert second.trees.forest is not None


def test_trees_that_cannot_be_grown_leave_those_before(grower: Grower, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_with_labels()
    assert engine.trees is not None
    engine.learn(0)
    before = engine.trees.forest
    assert before is not None
    engine.apply("2-0", [UpsertNode(f"later-{n}", [1.0, 0.0, 0.0], "odd") for n in range(60)], 1.0)
    engine.refresh()

    def fails(_growth: Growth) -> bool:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Growth, "advance", fails)
    grower.follow(engine, 0.0)
    assert until_followed(grower, engine) == "failed"
    assert engine.trees.forest is before
    grower.follow(engine, REST_OF_FAILED_S - 1)
    assert not grower.busy


def test_at_the_end_trees_are_given_up_after_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, rounds, begun, go_on = engine_with_labels(), [0], threading.Event(), threading.Event()
    advance = Growth.advance

    def counted(growth: Growth) -> bool:
        rounds[0] += 1
        begun.set()
        assert go_on.wait(60)
        return advance(growth)

    monkeypatch.setattr(Growth, "advance", counted)
    with Grower() as grower:
        grower.follow(engine, 0.0)
        assert begun.wait(60)
        grower._ended.set()
        go_on.set()
    assert rounds == [1]
