from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from olad_core.events import LabelNode, RemoveNode, UpsertNode
from olad_core.judging.decisions import Decision
from olad_core.learning.health import PATIENCE
from tests.olad_core.runs import BEST_OF_PAIR, PAIR, Run, assert_readers_are_fresh, learned, stream
from tests.olad_core.streams import arriving, labels_of, two_communities


class TestVersions:
    @pytest.mark.usefixtures("small_slices")
    def test_numbers_grow_by_one_and_the_old_tables_go(self) -> None:
        run = Run(PAIR)
        for batch in stream(turns=30):
            run.turn(batch, steps=4)
        assert len(run.reader.served_in_turn) >= 3
        assert run.reader.served_in_turn == list(range(1, len(run.reader.served_in_turn) + 1))
        dropped = [version for publication in run.published for version in publication.dropped]
        assert dropped == run.reader.served_in_turn[:-1]
        held = [run.engine.versions.served, run.engine.versions.candidate]
        assert set(run.reader.tables) <= {version.version.number for version in held if version}

    def test_are_immutable_while_training_goes_on(self) -> None:
        run = learned(Run(PAIR))
        held = run.engine.versions.served
        assert held is not None
        assert run.engine.trainer is not None
        before = {name: value.clone() for name, value in held.embedding.student.state_dict().items()}
        steps = run.engine.trainer.steps
        trained = {name: value.clone() for name, value in run.engine.trainer.group.students[0].state_dict().items()}
        run.engine.learn(4)
        assert run.engine.trainer.steps == steps + 4
        assert any(
            not torch.equal(run.engine.trainer.group.students[0].state_dict()[name], trained[name]) for name in trained
        )
        assert all(torch.equal(held.embedding.student.state_dict()[name], before[name]) for name in before)

    def test_are_at_least_so_many_steps_apart(self) -> None:
        run = learned(Run(PAIR))
        starts = []
        for _ in range(40):
            number = run.engine.versions.next_number
            run.engine.learn(1)
            if run.engine.versions.next_number > number:
                assert run.engine.trainer is not None
                starts.append(run.engine.trainer.steps)
        assert len(starts) > 2
        assert min(later - earlier for earlier, later in pairwise(starts)) >= PAIR.publish_steps

    def test_a_class_never_seen_before_is_in_the_next_version(self) -> None:
        run = learned(Run(PAIR))
        run.turn([UpsertNode("x", [9.0, 9.0, 9.0], f"new-{number}") for number in range(9)])
        assert run.reader.served is not None
        old = run.reader.tables[run.reader.served]
        assert {len(row) for row in old.values()} == {2}
        assert_readers_are_fresh(run)
        for _ in range(4):
            run.turn([UpsertNode("y", [1.0, 0.0, 0.0])], steps=5)
        served = run.published[-1].served
        assert served is not None
        assert served.classes == ("even", "odd", *(f"new-{number}" for number in range(9)))
        assert {len(row) for row in run.reader.tables[served.number].values()} == {11}

    @pytest.mark.usefixtures("small_slices")
    def test_features_that_appear_late_start_a_new_group(self) -> None:
        run = Run(PAIR)
        edges = [event for event in two_communities(40) if not isinstance(event, UpsertNode)]
        run.turn([UpsertNode(str(node)) for node in range(40)])
        run.turn(edges)
        while run.reader.served is None:
            run.turn([], steps=4)
        while run.engine.versions.candidate is None:
            run.turn([], steps=1)
        served, withdrawn = run.reader.served, run.engine.versions.candidate.version.number
        run.turn([event for event in two_communities(40) if isinstance(event, UpsertNode)])
        assert_readers_are_fresh(run)
        run.engine.learn(1)
        assert run.engine.trainer is not None
        assert (run.engine.trainer.group.shape.feature_width, run.engine.trainer.steps) == (3, 1)
        assert withdrawn in run.publish().dropped
        assert run.reader.served == served
        while run.reader.served == served:
            run.turn([], steps=4)
        assert_readers_are_fresh(run)
        held = run.engine.versions.served
        assert held is not None
        assert held.embedding.student.feature_width == 3

    def test_when_every_labelled_node_has_left_there_is_nothing_to_learn_and_the_version_stays(self) -> None:
        run = learned(Run(PAIR))
        run.turn([*(RemoveNode(str(node)) for node in range(40)), UpsertNode("new", [1.0, 0.0, 0.0])])
        served = run.reader.served
        assert [run.engine.learn(3) for _ in range(10)] == [False] * 10
        run.publish()
        assert run.reader.tables.keys() >= {run.reader.served}
        assert run.turn(two_communities(20)).served is not None
        assert run.engine.learn(20) is True
        run.publish()
        assert run.reader.served is not None
        assert served is not None
        assert run.reader.served > served
        assert_readers_are_fresh(run)
        assert all(np.isfinite(losses).all() for losses in run.engine.assessment.mean_losses.values())


class TestDecisions:
    def test_every_version_says_which_student_and_why(self) -> None:
        run = learned(Run(BEST_OF_PAIR))
        run.turn([], steps=12)
        started = run.engine.decisions.newest_first()[::-1]
        assert [decision.kind for decision in started[:3]] == ["first-version", "student-kept", "student-kept"]
        assert {decision.version for decision in started} == {1}
        assert {decision.student for decision in started} == {started[0].student}
        assert "lowest training loss" in started[0].reason

    def test_errors_that_rise_are_a_drift_told_once_after_which_memories_are_short(self) -> None:
        config = replace(PAIR, score_memory=5000, trainer=replace(PAIR.trainer, recent_labels=300))
        run = learned(Run(config))
        names = iter(range(1000, 9999))

        def arrive(count: int, right: bool) -> None:
            for _ in range(0, count, 8):
                batch = [next(names) for _ in range(8)]
                run.turn(arriving(batch))
                run.turn(labels_of(batch, right=right))

        def drifts() -> list[Decision]:
            return [decision for decision in run.engine.decisions.newest_first() if decision.kind == "drift"]

        arrive(320, right=True)
        assert drifts() == []
        before = run.engine.state()[0]["replay/latest"].item()
        arrive(96, right=False)
        (drift,) = drifts()
        assert drift.numbers["before"] < 0.1 < drift.numbers["after"]
        assert drift.version is None
        latest = run.engine.state()[0]["replay/latest"].item()
        assert before == 300
        assert 96 <= latest < 200
        # By score_memory alone the 320 before would weigh as much as ever.
        assert (
            run.engine.assessment.served_score().recent_accuracy[0] < run.engine.assessment.served_score().accuracy[0]
        )

    def test_new_classes_weights_and_groups_are_told(self) -> None:
        run = learned(Run(PAIR))
        run.turn([LabelNode("0", "third"), LabelNode("1", "fourth")])
        assert run.engine.trainer is not None
        with torch.no_grad():
            run.engine.trainer.group.students[1].head.bias.fill_(torch.nan)
        run.turn([], steps=PATIENCE)
        run.engine.restart_training()
        decided = {decision.kind: decision for decision in run.engine.decisions.newest_first()}
        assert "'third', 'fourth'" in decided["classes-grown"].reason
        assert decided["student-reset"].student == "sage"
        assert decided["group-restarted"].student is None

    def test_a_version_of_weights_that_are_no_numbers_is_not_begun(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run = learned(Run(PAIR))
        assert run.engine.trainer is not None
        trainer, step = run.engine.trainer, run.engine.trainer.step_in_parts

        def overflowing(*args: Any) -> Any:
            terms = yield from step(*args)
            with torch.no_grad():
                for student in trainer.group.students:
                    student.head.bias.fill_(torch.inf)
            trainer.steps += 1
            return terms

        monkeypatch.setattr(trainer, "step_in_parts", overflowing)
        run.turn([], steps=8)
        refused = [decision for decision in run.engine.decisions.newest_first() if decision.kind == "version-refused"]
        assert refused
        assert "not finite" in refused[0].reason
