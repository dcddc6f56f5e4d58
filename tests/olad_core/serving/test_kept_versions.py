"""The versions that are kept: their numbers, why they were made, what they scored, and serving one of them again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from olad_core.engine import Engine
from olad_core.events import UpsertNode, VersionChange
from olad_core.serving import naming
from olad_core.serving.load import TurnTime
from service.worker.checkpoint import read_checkpoint, write_checkpoint
from service.worker.restoring import restore
from tests.device import DEVICE
from tests.olad_core.runs import BEST_OF_PAIR, PAIR, Run, assert_readers_are_fresh, learned
from tests.olad_core.serving.test_embedding import assert_exact
from tests.olad_core.streams import arriving, changes, labels_of, take, two_communities

PIN_FIRST = VersionChange(action="pin", version=1)
UNPIN = VersionChange(action="unpin")
ROLL_BACK = VersionChange(action="rollback")


@pytest.fixture
def often_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights get a new number after few steps."""
    monkeypatch.setattr(naming, "NUMBERED_STEPS", 10)


def change(run: Run, wanted: VersionChange) -> bool:
    """Apply a change of the version as an entry; whether it was accepted."""
    outcome = run.engine.change_version(f"{run.turns + 1}-0", wanted)
    run.engine.refresh()
    run.publish()
    return not outcome.rejected


def shown(run: Run) -> int:
    held = run.engine.versions.served
    assert held is not None
    return held.version.shown


def until_served(run: Run, number: int) -> None:
    for _ in range(100):
        if shown(run) == number:
            return
        run.turn([], steps=1)
    raise AssertionError(f"version {number} is not served")


def with_versions(count: int = 3) -> Run:
    """A run whose served version has this number."""
    run = learned(Run(BEST_OF_PAIR))
    until_served(run, count)
    return run


def restored(run: Run, root: Path) -> Engine:
    return restore(run.engine.config, read_checkpoint(write_checkpoint(root, *run.engine.state(), keep=1)), DEVICE)


class TestNumbers:
    def test_weights_that_go_on_from_those_before_share_a_number(self) -> None:
        run = learned(Run(BEST_OF_PAIR))
        for _ in range(6):
            run.turn([], steps=10)
        assert len(run.reader.served_in_turn) > 5
        assert shown(run) == 1
        (kept,) = run.engine.kept.newest_first()
        assert (kept.number, kept.reason) == (1, "first")
        assert kept.refined >= len(run.reader.served_in_turn) - 1

    @pytest.mark.usefixtures("often_numbered")
    def test_training_alone_gives_no_number(self) -> None:
        run = with_versions(2)
        run.engine.learn(40)
        run.publish()
        before = shown(run)
        for _ in range(10):
            run.engine.learn(10)
            run.publish()
        assert shown(run) == before
        until_served(run, before + 1)
        assert run.engine.kept.newest_first()[0].reason == "due"

    def test_new_classes_and_new_students_give_one(self) -> None:
        run = learned(Run(BEST_OF_PAIR))
        run.turn([UpsertNode("x", [9.0, 9.0, 9.0], "new")])
        until_served(run, 2)
        run.engine.restart_training()
        until_served(run, 3)
        assert [kept.reason for kept in run.engine.kept.newest_first()] == ["new-students", "new-classes", "first"]

    def test_scores_are_of_the_time_in_which_it_was_served(self) -> None:
        run = learned(Run(PAIR))
        names = iter(range(1000, 9999))

        def arrive() -> None:
            batch = [next(names) for _ in range(8)]
            run.turn(arriving(batch))
            run.turn(labels_of(batch, right=True))

        arrive()
        arrive()
        run.turn([UpsertNode("x", [9.0, 9.0, 9.0], "new")])
        until_served(run, 2)
        arrive()
        now = run.engine.assessment.served_tally()
        newer, older = run.engine.kept.newest_first()
        scores = [run.engine.kept.scores(kept, now) for kept in (older, newer)]
        assert [tally.scored for tally in scores] == [17, 8]  # the node with the new class was scored, too
        assert scores[0].plus(scores[1]) == now
        assert older.served_until == newer.served_from

    @pytest.mark.usefixtures("often_numbered")
    def test_the_oldest_goes_beyond_so_many(self) -> None:
        run = with_versions(9)
        assert len(run.engine.kept.newest_first()) <= run.engine.config.versions_kept + 1
        assert run.engine.group_sizes.kept == len(run.engine.kept.newest_first()) - 1


@pytest.mark.usefixtures("often_numbered")
class TestPinning:
    def test_a_pinned_version_is_served_exactly_while_training_goes_on(self) -> None:
        run = with_versions()
        stream = changes(5)
        run.turn(take(stream, 20))
        assert change(run, PIN_FIRST)
        assert shown(run) == 3
        assert run.engine.trainer is not None
        steps = run.engine.trainer.steps
        for _ in range(6):
            run.turn(take(stream, 12), steps=4)
        assert shown(run) == 1
        assert run.engine.trainer.steps == steps + 24
        assert_readers_are_fresh(run)
        held = run.engine.versions.served
        assert held is not None
        assert_exact(held.embedding, run.engine.graph)
        assert [update.version for update in run.published[-1].updates] in ([], [held.version.number])
        decision = next(each for each in run.engine.decisions.newest_first() if each.kind == "version-pinned")
        assert decision.version == 1

    def test_it_has_the_weights_that_it_was_served_with(self) -> None:
        run = learned(Run(BEST_OF_PAIR))
        run.turn([UpsertNode("x", [9.0, 9.0, 9.0], "new")])
        held = run.engine.versions.served
        assert held is not None
        before = {name: value.clone() for name, value in held.embedding.student.state_dict().items()}
        assert held.version.shown == 1
        until_served(run, 2)
        change(run, PIN_FIRST)
        until_served(run, 1)
        again = run.engine.versions.served
        assert again is not None
        assert all(torch.equal(value, before[name]) for name, value in again.embedding.student.state_dict().items())
        assert again.version.classes == ("even", "odd")

    def test_released_the_newest_weights_are_served_under_a_new_number(self) -> None:
        run = with_versions()
        change(run, PIN_FIRST)
        until_served(run, 1)
        newest = run.engine.versions.next_shown
        assert change(run, UNPIN)
        until_served(run, newest)
        assert run.engine.kept.newest_first()[0].reason == "unpinned"

    def test_a_worker_with_a_pinned_version_comes_to_rest(self) -> None:
        run = with_versions()
        change(run, PIN_FIRST)
        for _ in range(2_000):
            if run.engine.resting:
                break
            run.engine.finish() if run.engine.converged else run.engine.learn(5)
        assert run.engine.resting
        run.publish()
        assert shown(run) == 1
        assert run.engine.versions.candidate is None
        change(run, UNPIN)
        assert not run.engine.resting

    def test_what_is_not_kept_is_rejected_and_nothing_changes(self) -> None:
        run = with_versions()
        assert not change(run, VersionChange(action="pin", version=99))
        (rejected,) = run.published[-1].rejected
        assert (rejected.op, rejected.reason) == ("version", "unknown-version")
        assert "99" in rejected.detail
        assert run.engine.kept.pinned is None
        assert not change(run, ROLL_BACK)
        assert change(run, UNPIN)

    def test_a_rollback_goes_to_the_version_before_the_last_switch(self) -> None:
        run = with_versions()
        served = run.engine.versions.served
        assert served is not None
        other = next(name for name in ("gcn", "sage") if name != served.version.student)
        candidates = run.engine.kept.newest_first()
        # The last but one is of the other student: what a switch would have left.
        run.engine.kept._kept[2] = replace(candidates[1], student=other)
        assert change(run, ROLL_BACK)
        assert run.engine.kept.pinned == 2
        until_served(run, 2)
        kinds = [decision.kind for decision in run.engine.decisions.newest_first()]
        assert "version-rolled-back" in kinds

    @pytest.mark.parametrize("steps", [0, 1, 4])
    def test_goes_on_from_a_checkpoint_between_pin_and_swap_with_the_same_bytes(
        self, steps: int, tmp_path: Path, small_slices: None
    ) -> None:
        run = with_versions()
        change(run, PIN_FIRST)
        run.turn(take(changes(6), 12), steps=steps)
        run.publish()
        twin = Run(engine=restored(run, tmp_path))
        twin.engine.republish()
        twin.publish()
        batches = [take(stream, 9) for stream in [changes(8)] for _ in range(5)]
        for each in (run, twin):
            for batch in batches:
                each.turn(batch, steps=6)
        assert shown(run) == shown(twin) == 1
        one, other = run.engine.state(), twin.engine.state()
        assert one[1] == other[1]
        assert one[0].keys() == other[0].keys()
        differing = [
            name for name, held in one[0].items() if held.numpy().tobytes() != other[0][name].numpy().tobytes()
        ]
        assert differing == []

    def test_features_that_come_later_leave_it_as_it_is_and_exact(self) -> None:
        run = Run(BEST_OF_PAIR)
        edges = [event for event in two_communities(40) if not isinstance(event, UpsertNode)]
        run.turn([UpsertNode(str(node)) for node in range(40)])
        run.turn(edges)
        while run.reader.served is None:
            run.turn([], steps=4)
        run.turn([event for event in two_communities(40) if isinstance(event, UpsertNode)])
        until_served(run, 2)
        assert change(run, PIN_FIRST)
        until_served(run, 1)
        assert_readers_are_fresh(run)
        held = run.engine.versions.served
        assert held is not None
        assert held.embedding.student.feature_width == 0
        assert np.isfinite(held.embedding.probabilities(np.arange(40))).all()


def test_after_a_stream_has_ended_no_switch_follows() -> None:
    config = replace(BEST_OF_PAIR, switch_margin=-1.0)  # any other student stands high enough
    run = learned(Run(config))
    names = iter(range(1000, 9999))
    for _ in range(5):
        batch = [next(names) for _ in range(8)]
        run.turn(arriving(batch))
        run.turn(labels_of(batch, right=True), steps=2)
    run.engine.learn(4)
    # The last turns took too long, and no further turn shows whether that has changed.
    for _ in range(50):
        run.engine.follow_load(TurnTime(events=8, elapsed_s=0.5, own_s=0.5))
    before = run.engine.decisions.total
    while run.engine.versions.next_number < 60:
        run.engine.learn(5)
        run.publish()
    switches = [each for each in run.engine.decisions.since(before) if each.kind == "student-switched"]
    assert switches == []
