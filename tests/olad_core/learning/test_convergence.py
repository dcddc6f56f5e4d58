"""When training rests, that everything new wakes it, and that a worker at rest goes on from a checkpoint at rest."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from olad_core.engine import Engine
from olad_core.events import Event, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.learning import convergence
from olad_core.learning.convergence import MOST_RESTARTS, MOST_STEPS, PATIENCE, WINDOW, Convergence
from olad_core.step_size import FULL_SIZE, StepSize
from tests.device import DEVICE
from tests.olad_core.runs import BEST_OF_PAIR, PAIR, Run, assert_readers_are_fresh, learned
from tests.olad_core.streams import arriving, labels_of


def steps_until_reached(
    loss: Callable[[int], float], convergence: Convergence | None = None, size: StepSize = FULL_SIZE
) -> int:
    convergence = convergence or Convergence()
    for number in range(100 * MOST_STEPS):
        if convergence.reached:
            return number
        convergence.begin_step(size)
        convergence.follow(loss(number), size)
    raise AssertionError("never")


class TestConvergence:
    def test_losses_at_rest_end_it_after_the_patience(self) -> None:
        noise = np.random.default_rng(0).normal(0.3, 0.05, size=MOST_STEPS)
        assert steps_until_reached(lambda _: 0.3) == WINDOW * (PATIENCE + 1)
        assert steps_until_reached(lambda number: float(noise[number])) < MOST_STEPS

    def test_as_long_as_they_fall_it_goes_on_up_to_the_budget(self) -> None:
        assert steps_until_reached(lambda number: 1 / (1 + number)) > WINDOW * (PATIENCE + 1)
        assert steps_until_reached(lambda number: -float(number)) == MOST_STEPS

    def test_small_steps_count_for_less(self) -> None:
        assert steps_until_reached(lambda _: 0.3, size=StepSize(0.25)) == 2 * WINDOW * (PATIENCE + 1)
        assert steps_until_reached(lambda number: -float(number), size=StepSize(0.25)) == 2 * MOST_STEPS

    def test_losses_that_are_no_numbers_end_with_the_budget(self) -> None:
        assert steps_until_reached(lambda _: math.nan) == MOST_STEPS

    def test_new_information_gives_the_whole_budget(self) -> None:
        convergence = Convergence()
        first = steps_until_reached(lambda _: 0.3, convergence)
        convergence.renew()
        assert steps_until_reached(lambda _: 0.9, convergence) == first

    def test_new_weights_get_it_too_but_not_for_ever(self) -> None:
        convergence = Convergence()
        for _ in range(MOST_RESTARTS):
            convergence.begin_step(FULL_SIZE)
            convergence.restart()
            assert not convergence.reached
        convergence.restart()
        assert convergence.reached
        convergence.renew()
        assert not convergence.reached

    @pytest.mark.parametrize("steps", [1, WINDOW, WINDOW + 7])
    def test_goes_on_from_its_state(self, steps: int) -> None:
        losses = np.random.default_rng(1).normal(0.3, 0.1, size=MOST_STEPS).tolist()
        one, size = Convergence(), StepSize(0.7)
        for number in range(steps):
            one.begin_step(size)
            one.follow(losses[number], size)
        other = Convergence()
        other.restore(json.loads(json.dumps(one.state())))
        ends = {steps_until_reached(lambda number: losses[steps + number], each, size) for each in (one, other)}
        assert len(ends) == 1
        assert one.state() == other.state()


def rested(run: Run) -> Run:
    """Learn as the worker does until there is nothing left to do."""
    engine = run.engine
    for _ in range(20 * MOST_STEPS):
        if engine.resting:
            return run
        if engine.converged:
            engine.finish()
        else:
            engine.train()
            engine.embed()
        run.publish()
    raise AssertionError("it never rests")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rest comes after few steps."""
    monkeypatch.setattr(convergence, "WINDOW", 4)
    monkeypatch.setattr(convergence, "PATIENCE", 2)


@pytest.mark.usefixtures("impatient")
class TestRest:
    def test_it_comes_and_what_was_learned_last_is_served(self) -> None:
        run = rested(learned(Run(BEST_OF_PAIR)))
        engine = run.engine
        assert engine.trainer is not None
        held = engine.versions.served
        assert held is not None
        group = engine.trainer.group
        of_the_student = group.students[group.names.index(held.version.student)].state_dict()
        assert all(
            torch.equal(value, of_the_student[name])
            for name, value in held.embedding.student.state_dict().items()
            if name != "temperature"
        )
        assert_readers_are_fresh(run)

    @pytest.mark.usefixtures("small_slices")
    def test_a_version_on_its_way_is_finished_first(self) -> None:
        run = learned(Run(PAIR))
        while run.engine.versions.candidate is None:
            run.engine.learn(1)
        rested(run)
        assert run.engine.versions.candidate is None
        assert_readers_are_fresh(run)

    @pytest.mark.parametrize(
        "events",
        [
            arriving([1000]),
            [LabelNode("3", "even")],
            [LabelNode("3", "third")],
            [UpsertNode("3", [9.0, 9.0, 9.0])],
            [UpsertEdge("3", "9", 7.0)],
            [RemoveNode("3")],
        ],
        ids=["a node", "another label", "a new class", "features", "a weight", "a removal"],
    )
    def test_anything_new_ends_it_with_a_whole_budget(self, events: Sequence[Event]) -> None:
        run = rested(learned(Run(PAIR)))
        assert run.engine.trainer is not None
        before = run.engine.trainer.steps
        run.turn(events)
        assert not run.engine.converged
        rested(run)
        assert run.engine.trainer.steps - before >= convergence.WINDOW * (convergence.PATIENCE + 1)

    @pytest.mark.parametrize(
        "events",
        [
            [],
            [RemoveNode("nobody")],
            [RemoveEdge("0", "nobody")],
            [LabelNode("0", "even")],
            [UpsertNode("0", label="even"), UpsertNode("1")],
        ],
        ids=["nothing", "rejected", "an edge that is not there", "a label known already", "as it was"],
    )
    def test_nothing_new_does_not_end_it(self, events: Sequence[Event]) -> None:
        run = rested(learned(Run(PAIR)))
        assert run.engine.graph.classes[run.engine.graph.label[run.engine.graph.rows(["0"])[0]]] == "even"
        number = run.engine.versions.next_number
        run.turn(events)
        assert run.engine.resting
        assert run.engine.versions.next_number == number

    def test_a_drift_ends_it(self) -> None:
        run = rested(learned(Run(PAIR)))
        run.turn(arriving(range(1000, 1008)))
        rested(run)
        run.turn(labels_of(range(1000, 1008), right=False))
        assert not run.engine.converged

    def test_it_is_part_of_the_state(self) -> None:
        run = rested(learned(Run(PAIR)))
        tensors, values = run.engine.state()
        again = Engine.restore(PAIR, tensors, json.loads(json.dumps(values)), DEVICE)
        assert again.resting
        del values["convergence"], values["version_evidence"]
        assert not Engine.restore(PAIR, tensors, values, DEVICE).converged, "of a release that knew no rest"

    def test_where_nothing_can_be_learned_it_rests(self) -> None:
        assert Engine(PAIR, DEVICE).resting
        run = rested(learned(Run(PAIR)))
        run.turn([RemoveNode(str(node)) for node in range(40)])
        rested(run)
        assert not run.engine.train()
        assert run.engine.resting

    def test_training_that_always_fails_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run = learned(Run(PAIR))
        run.turn([LabelNode("0", "odd")])

        def fail(*_: Any) -> Any:
            raise ArithmeticError

        monkeypatch.setattr(run.engine.trainer_type, "step_in_parts", fail)
        failures = 0
        while not run.engine.resting:
            with pytest.raises(ArithmeticError):
                run.engine.train()
            run.engine.restart_training()
            failures += 1
        assert failures == MOST_RESTARTS + 1

    def test_fixed_steps_are_taken_all_the_same(self) -> None:
        run = rested(learned(Run(PAIR)))
        assert run.engine.trainer is not None
        before = run.engine.trainer.steps
        assert run.engine.learn(9)
        assert run.engine.trainer.steps == before + 9


class TestSwitches:
    def test_equals_do_not_alternate_without_new_scores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Predictions of unlabelled nodes do not count: only labels show which student is better."""
        run = learned(Run(PAIR))
        run.turn(arriving(range(1000, 1008)))
        run.turn(labels_of(range(1000, 1008), right=True))
        draws = np.random.default_rng(0)
        monkeypatch.setattr(run.engine.assessment, "standing", lambda: draws.normal(0, 0.5, size=3))
        run.turn([], steps=8)
        kinds = []
        for _ in range(12):
            total = run.engine.decisions.total
            run.turn([], steps=4)
            kinds += [decision.kind for decision in run.engine.decisions.since(total)]
        assert set(kinds) == {"student-kept"}
        switched = 0
        for number in range(1100, 1300, 8):
            run.turn(arriving(range(number, number + 8)))
            run.turn(labels_of(range(number, number + 8), right=True), steps=4)
            newest = run.engine.decisions.newest_first()
            switched = sum(decision.kind == "student-switched" for decision in newest)
            if switched:
                break
        assert switched, "with new scores they may"
