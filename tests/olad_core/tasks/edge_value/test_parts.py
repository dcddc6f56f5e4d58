"""The parts of the task on values of edges: units, margins, weights, and a learner that nothing breaks."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.tasks.edge_value.history import SIMPLE, Asked, History
from olad_core.tasks.edge_value.learner import Learner
from olad_core.tasks.values.margins import RATE, Margins
from olad_core.tasks.values.units import units_of
from olad_core.tasks.values.weighing import Weighing


def test_units_keep_the_middle_of_the_values_apart_whatever_the_outliers() -> None:
    values = np.random.default_rng(0).normal(1e6, 10.0, 1_000)
    values[::50] = 1e15
    units = units_of(values)
    assert units.centre == pytest.approx(1e6, abs=2)
    assert units.scale == pytest.approx(10, rel=0.2)
    inside = values[values < 1e15]
    assert units.long(units.short(inside)) == pytest.approx(inside)
    assert units.bounded(1e15) == pytest.approx(1e6 + 300, rel=1e-3)


def test_margins_hold_the_coverage_while_values_drift() -> None:
    draw, margins, inside = np.random.default_rng(1), Margins(0.9), []
    learned = np.array([[-1.0, 0.0, 1.0]])
    for at in range(4_000):
        value = draw.normal(0, 1 + (at > 2_000))
        low, _, high = margins.widened(learned)[0]
        inside.append(low <= value <= high)
        margins.learn(learned, np.array([value]))
    for settled in (slice(1_000, 2_000), slice(3_000, 4_000)):
        assert np.mean(inside[settled]) == pytest.approx(0.9, abs=0.02)
    # The guarantee of the method: what is missing in all is what the margins have moved, over the rate.
    assert np.mean(inside) == pytest.approx(0.9 - margins.sides.sum() / RATE / 4_000)


def test_many_late_values_move_the_margins_as_far_as_one_by_one() -> None:
    learned = np.tile([-1.0, 0.0, 1.0], (5_000, 1))
    together, one_by_one = Margins(0.9), Margins(0.9)
    values = np.random.default_rng(2).normal(0, 2, 5_000)
    together.learn(learned, values)
    for at, value in enumerate(values):
        one_by_one.learn(learned[at : at + 1], np.array([value]))
    assert together.sides.tolist() == one_by_one.sides.tolist()
    assert together.sides == pytest.approx(2 * 1.645 - 1, abs=0.8)


@pytest.mark.parametrize("best", [0, 3])
def test_the_weighed_mean_is_hardly_worse_than_the_best(best: int) -> None:
    draw, weighing = np.random.default_rng(3), Weighing(4)
    lost, own = 0.0, np.zeros(4)
    for at in range(3_000):
        losses = np.abs(draw.normal(1.0 - 0.3 * (np.arange(4) == best), 0.3))
        losses[:] = 1e12 if at == 1_500 else losses
        if at != 1_500:
            lost += float(weighing.weights() @ losses)
            own += losses
        weighing.learn(losses)
    assert lost < own.min() + 3 * np.sqrt(3_000 * np.log(4) / 2) * 0.3
    assert weighing.weights().argmax() == best


@pytest.mark.parametrize("values", [[7.0], [1e15, -1e15], [1e-300, 0.0], [1e15, 1.0, 1.0, 1.0, 1.0]])
def test_nothing_that_values_may_be_makes_an_answer_that_is_no_number(values: list[float]) -> None:
    learner = Learner(0.9, 1, 300, directed=True)
    for entry in range(60):
        ends = np.array([[0, 1 + entry % 5], [1, 0]])
        asked = learner.asked(ends, np.array([1e15, 1e-15]), np.array([float(entry), -1e30]))
        inputs = learner.history.inputs(asked, np.zeros((2, 0), np.float32))
        predicted = learner.predict(inputs)
        if learner.answers:
            low, value, high = predicted.answered.T
            assert np.isfinite(predicted.answered).all()
            assert (low <= value).all()
            assert (value <= high).all()
            assert (np.abs(value) <= 1e15 * (1 + 1e-9)).all()
        learner.arrive(asked, [None, None], inputs, predicted)
        for source, target in ends.tolist():
            place = learner.edges.ring.find(source, target, None)
            assert place is not None
            learner.label(place, values[entry % len(values)])
        learner.learn()
    assert learner.answers


@pytest.mark.parametrize("scale", [1e-6, 1e9])
def test_the_scale_of_the_values_does_not_matter(scale: float) -> None:
    draw, answered = np.random.default_rng(4), []
    rows, noise = draw.integers(0, 20, (400, 2)), draw.normal(0, 1, 400)
    for factor in (1.0, scale):
        learner = Learner(0.9, 1, 1_000, directed=True)
        for at in range(0, 400, 4):
            ends = rows[at : at + 4]
            asked = learner.asked(ends, np.ones(len(ends)), np.full(len(ends), float(at)))
            inputs = learner.history.inputs(asked, np.zeros((len(ends), 0), np.float32))
            predicted = learner.predict(inputs)
            learner.arrive(asked, [str(at + number) for number in range(len(ends))], inputs, predicted)
            for number, (source, target) in enumerate(ends.tolist()):
                place = learner.edges.ring.find(source, target, str(at + number))
                assert place is not None
                learner.label(place, factor * (3.0 * target + noise[at + number]))
            learner.learn()
            answered.append(predicted.answered / factor)
    one, other = np.concatenate(answered[:100])[40:], np.concatenate(answered[100:])[40:]
    assert one == pytest.approx(other, abs=0.05)
    assert len(SIMPLE) + 2 == len(learner.model.weighing.weights())


def test_two_nodes_that_are_not_there_are_no_loop() -> None:
    """They are read as two new nodes, whose rows are alike."""
    ends, other = np.array([-1, 3, -1]), np.array([-1, 3, 3])
    asked = Asked(ends, other, np.ones(3), np.zeros(3), np.full((3, 2), np.nan))
    loops = History().inputs(asked, np.zeros((3, 0), np.float32)).plain[:, -2]
    assert loops.tolist() == [0, 1, 0]
