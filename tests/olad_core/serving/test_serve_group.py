"""What is served under each setting: the group, or one of its students."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from olad_core.config import GROUP, EngineConfig, Serve
from olad_core.engine import Engine
from olad_core.events import UpsertNode
from olad_core.predicting import predict_served
from olad_core.serving.load import TurnTime
from service.worker.checkpoint import read_checkpoint, write_checkpoint
from service.worker.restoring import restore
from tests.device import DEVICE
from tests.olad_core.runs import PAIR, Run, assert_readers_are_fresh, learned
from tests.olad_core.streams import arriving, changes, take


def serving(serve: Serve, **changes: object) -> EngineConfig:
    return replace(PAIR, serve=serve, **changes)  # type: ignore[arg-type]


def served(run: Run) -> str:
    held = run.engine.versions.served
    assert held is not None
    return held.version.student


def goes_on(run: Run, config: EngineConfig, root: Path) -> Run:
    """The run with the engine that is restored from its checkpoint."""
    path = write_checkpoint(root, *run.engine.state(), keep=1)
    run.engine = restore(config, read_checkpoint(path), DEVICE)
    return run


def begin_versions(run: Run, count: int = 3) -> None:
    before = run.engine.versions.next_number
    while run.engine.versions.next_number < before + count:
        run.turn([], steps=2)


def take_turns(run: Run, seconds: float, own_s: float, events: int = 10) -> None:
    """Turns of a tenth of a second that took what is served so long."""
    for _ in range(round(10 * seconds)):
        run.engine.follow_load(TurnTime(events, elapsed_s=0.1, own_s=own_s))


def under_load(config: EngineConfig, seconds: float, own_s: float) -> Run:
    """A run whose turns are measured from the first version on."""
    run = Run(config)
    run.engine.follow_load(TurnTime(0, elapsed_s=0.1))
    run = learned(run)
    take_turns(run, seconds, own_s)
    return run


@pytest.mark.parametrize(
    ("serve", "expected"), [("group", {GROUP}), ("auto", {GROUP, "gcn", "sage"}), ("best", {"gcn", "sage"})]
)
def test_readers_get_exactly_what_the_setting_names(serve: Serve, expected: set[str]) -> None:
    run = learned(Run(serving(serve)))
    assert served(run) in expected
    stream = changes(7)
    for turn in range(12):
        run.turn(take(stream, 20), steps=turn % 3)
        assert_readers_are_fresh(run)
    assert served(run) in expected
    assert (run.engine.assessment.combined is not None) == (serve != "best")


def test_the_group_takes_over_before_the_first_label_is_scored() -> None:
    run = learned(Run(serving("auto")))
    run.turn(arriving(range(100, 140)))
    assert np.isfinite(run.engine.assessment.standing()).all()
    begin_versions(run)
    assert run.engine.assessment.scored() == 0
    assert served(run) == GROUP


def test_a_single_student_is_served_by_itself() -> None:
    config = serving("group")
    run = learned(Run(replace(config, trainer=replace(config.trainer, students=("sage",)))))
    assert served(run) == "sage"


@pytest.mark.parametrize(("before", "after"), [("group", "best"), ("best", "group"), ("auto", "best")])
def test_a_change_of_the_setting_takes_effect_with_the_next_version(
    tmp_path: Path, before: Serve, after: Serve
) -> None:
    run = learned(Run(serving(before)))
    was = served(run)
    run = goes_on(run, serving(after), tmp_path)
    assert served(run) == was
    run.turn(take(changes(3), 20))
    assert_readers_are_fresh(run)
    begin_versions(run)
    assert (served(run) == GROUP) == (after == "group")
    assert_readers_are_fresh(run)
    switched = [decision for decision in run.engine.decisions.newest_first() if decision.kind == "student-switched"]
    # What auto took before may have been the best student.
    if served(run) != was:
        assert switched[0].reason.startswith(f"switched from {was} to {served(run)}: ")


def test_the_group_that_is_restored_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    run, config = learned(Run(serving("group"))), serving("group")
    other = Run(
        engine=restore(config, read_checkpoint(write_checkpoint(tmp_path, *run.engine.state(), keep=1)), DEVICE)
    )
    for one in (run, other):
        stream = changes(5)
        for _ in range(8):
            one.turn(take(stream, 20), steps=3)
    (tensors, values), (others, other_values) = run.engine.state(), other.engine.state()
    assert tensors.keys() == others.keys()
    assert any(name.startswith("versions/served/combination/") for name in tensors)
    assert all(tensors[name].numpy().tobytes() == others[name].numpy().tobytes() for name in tensors)
    assert values == other_values


def test_labels_that_come_with_a_node_are_hidden_from_its_score() -> None:
    run = learned(Run(serving("group")))
    engine = run.engine
    run.turn([UpsertNode("unlabelled", [1.0, 0.0, 0.0]), UpsertNode("labelled", [1.0, 0.0, 0.0], "odd")])
    rows = engine.graph.rows(["unlabelled", "labelled"])
    assert engine.trainer is not None
    assert engine.versions.served is not None
    found = predict_served(engine.graph, rows, engine.trainer.group, engine.versions.served)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-5)


class TestAuto:
    def test_serves_a_student_where_the_group_does_not_fit_into_the_memory(self) -> None:
        run = learned(Run(serving("auto", memory_budget=1)))
        assert served(run) in PAIR.trainer.students
        begin_versions(run)
        assert served(run) in PAIR.trainer.students

    def test_leaves_the_group_when_events_come_too_fast_and_returns_when_it_is_quiet(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = under_load(serving("auto"), seconds=12, own_s=0.001)
        monkeypatch.setattr(run.engine.assessment, "standing", lambda: np.array([0.0, 0.0, 0.02]))
        begin_versions(run)
        assert served(run) == GROUP
        run.engine.learn(1)
        take_turns(run, seconds=1, own_s=0.08)
        assert run.engine.must_replace_group
        assert not run.engine.resting
        steps = run.engine.trainer.steps if run.engine.trainer else 0
        run.engine.train()
        assert run.engine.trainer is not None
        assert run.engine.trainer.steps == steps, "no step goes before the version"
        assert run.engine.hurries
        run.engine.embed()
        run.publish()
        assert served(run) != GROUP
        assert not run.engine.must_replace_group
        newest = run.engine.decisions.newest_first()[0]
        assert newest.kind == "student-switched"
        assert newest.reason.endswith(": events come too fast for what was served")
        assert newest.numbers["load_group"] > 1
        assert_readers_are_fresh(run)
        take_turns(run, seconds=3, own_s=0.03)
        take_turns(run, seconds=8, own_s=0.001)
        begin_versions(run)
        assert served(run) != GROUP
        take_turns(run, seconds=6, own_s=0.001)
        begin_versions(run)
        assert served(run) == GROUP

    def test_gives_up_a_version_of_the_group_that_is_on_its_way(self, small_slices: None) -> None:
        run = under_load(serving("auto", switch_margin=-1.0), seconds=12, own_s=0.001)
        engine = run.engine
        while engine.versions.candidate is None or engine.versions.candidate.version.student != GROUP:
            engine.learn(1)
        take_turns(run, seconds=1, own_s=0.08)
        number = engine.versions.candidate.version.number
        engine.train()
        assert engine.versions.candidate.version.student in PAIR.trainer.students
        run.publish()
        assert number not in run.reader.tables

    def test_at_rest_returns_to_the_group_by_itself(self) -> None:
        run = under_load(serving("auto", switch_margin=-1.0), seconds=1, own_s=0.001)
        while not run.engine.converged:
            run.engine.learn(1)
        while not run.engine.resting:
            run.engine.finish()
        assert served(run) != GROUP
        take_turns(run, seconds=12, own_s=0.0, events=0)
        assert not run.engine.resting
        while not run.engine.resting:
            run.engine.finish()
        run.publish()
        assert served(run) == GROUP
        assert_readers_are_fresh(run)

    def test_measurements_are_no_part_of_the_state_while_they_change_no_decision(self) -> None:
        runs = [learned(Run(serving("best"))) for _ in range(2)]
        take_turns(runs[0], seconds=2, own_s=0.001)
        for run in runs:
            begin_versions(run)
        (tensors, values), (others, other_values) = (run.engine.state() for run in runs)
        assert all(tensors[name].numpy().tobytes() == others[name].numpy().tobytes() for name in tensors)
        assert values == other_values

    def test_the_same_measurements_lead_to_the_same_bytes(self) -> None:
        runs = []
        for _ in range(2):
            run = under_load(serving("auto"), seconds=12, own_s=0.001)
            for own_s in (0.001, 0.08, 0.001):
                take_turns(run, seconds=4, own_s=own_s)
                begin_versions(run)
            runs.append(run)
        (tensors, values), (others, other_values) = (run.engine.state() for run in runs)
        assert all(tensors[name].numpy().tobytes() == others[name].numpy().tobytes() for name in tensors)
        assert values == other_values

    def test_leaves_the_group_when_the_memory_is_needed(self) -> None:
        run = learned(Run(serving("auto", switch_margin=-1.0, memory_budget=10**12)))
        begin_versions(run)
        assert served(run) == GROUP
        run.engine.config = replace(run.engine.config, memory_budget=1)
        assert run.engine.must_replace_group
        run.engine.learn(3)
        run.publish()
        assert served(run) != GROUP
        run.engine.config = replace(run.engine.config, memory_budget=10**12)
        begin_versions(run)
        assert served(run) == GROUP

    def test_begins_with_a_student_and_goes_on_with_the_group_while_nothing_is_known(self) -> None:
        run = learned(Run(serving("auto")))
        begin_versions(run)
        reasons = [decision.reason for decision in run.engine.decisions.newest_first()[::-1]]
        assert reasons[0].endswith(": lowest training loss")
        assert reasons[1].endswith(" to group: more is expected of it, and nothing was scored yet")

    def test_counts_the_memory_of_what_is_served(self) -> None:
        group, best = (learned(Run(serving(serve))).engine for serve in ("group", "best"))
        assert (group.group_sizes.served, best.group_sizes.served) == (2, 1)


def test_an_engine_of_another_setting_reads_an_engine_state(tmp_path: Path) -> None:
    """Earlier releases wrote nothing of the group."""
    engine = learned(Run(serving("best"))).engine
    tensors, values = engine.state()
    assert not [name for name in tensors if name.startswith("combined/")]
    restored = Engine.restore(serving("auto"), tensors, values, DEVICE)
    assert restored.assessment.combined is not None
    assert restored.assessment.student_scores().scored.tolist() == engine.assessment.student_scores().scored.tolist()


class TestTrees:
    """Boosted trees in the group."""

    def test_are_served_within_the_group_and_exact(self) -> None:
        run = learned(Run(serving("group", arrivals_scored=100)))
        begin_versions(run)
        assert run.engine.versions.served is not None
        assert run.engine.versions.served.embedding.forest is not None
        stream = changes(7)
        for turn in range(6):
            run.turn(take(stream, 20), steps=turn % 3)
            assert_readers_are_fresh(run)

    def test_are_turned_off_and_on_again(self, tmp_path: Path) -> None:
        run = learned(Run(serving("group", arrivals_scored=100)))
        begin_versions(run)
        for trees in (False, True):
            run = goes_on(run, serving("group", arrivals_scored=100, trees=trees), tmp_path)
            assert served(run) == GROUP
            assert (run.engine.trees is not None) == trees
            begin_versions(run)
            run.turn(take(changes(3), 20))
            assert_readers_are_fresh(run)
        assert run.engine.versions.served is not None
        assert run.engine.versions.served.embedding.forest is None, "labels must come before there are new trees"

    def test_of_a_restored_group_go_on_with_the_same_bytes(self, tmp_path: Path) -> None:
        config = serving("group", arrivals_scored=100)
        run = learned(Run(config))
        begin_versions(run)
        written = write_checkpoint(tmp_path, *run.engine.state(), keep=1)
        other = Run(engine=restore(config, read_checkpoint(written), DEVICE))
        for one in (run, other):
            for turn in range(3):
                nodes = [UpsertNode(f"new-{turn}-{n}", [0.1 * n, 1.0, 0.0], "odd") for n in range(40)]
                one.turn([*nodes, *take(changes(turn), 10)], steps=2)
        (tensors, values), (others, other_values) = run.engine.state(), other.engine.state()
        assert tensors.keys() == others.keys()
        assert any(name.startswith("versions/served/combination/forest/") for name in tensors)
        assert all(tensors[name].numpy().tobytes() == others[name].numpy().tobytes() for name in tensors)
        assert values == other_values
        assert run.engine.trees is not None
        assert run.engine.trees.grown_at > 100
