"""Explanations of edges, each change compared with the prediction where what is taken away has really not come."""

from __future__ import annotations

import copy
import functools

import numpy as np
import numpy.typing as npt
import pytest

from olad_core.tasks.edge_class import Inputs, Learner, explain_edge
from olad_core.tasks.edge_class.explain import MOST_LABELS, Arriving, EdgeExplanation
from olad_core.tasks.edge_class.input_parts import ENDS, PARTS, Part, parts_of, without

DEVICE, THIEF, HONEST, SHOP, BAR = 900, 1, 2, 50, 51
NOW = 1_000.0
Features = npt.NDArray[np.float32]


def arrive(
    on: Learner,
    source: int,
    target: int,
    weight: float = 1.0,
    x: tuple[float, float] = (0.0, 0.0),
    name: str | None = None,
) -> int:
    """An edge arrives, a second after the one before; its place."""
    time = np.array([float(on.arrived)])
    asked = on.asked(np.array([[source, target]]), np.array([weight]), time)
    inputs = on.history.inputs(asked, np.array([x], np.float32))
    place = on.edges.ring.next_place
    on.arrive(asked, [name], inputs, on.predict(inputs))
    return place


@functools.cache
def learned(*, directed: bool = True) -> Learner:
    """A task in which thieves, who share a device, pay often, and much in the second feature."""
    draw = np.random.default_rng(0)
    on = Learner(("ok", "fraud"), 3, 2_000, directed=directed, features=2)
    on.history.links.join(np.array([[THIEF, DEVICE], [DEVICE, 3], [HONEST, 901]]))
    for _ in range(300):
        thief = bool(draw.integers(3) == 0)
        source = [THIEF, 3][draw.integers(2)] if thief else int(draw.integers(10, 40))
        x = (float(draw.normal()), float(draw.normal() + 4 * thief))
        place = arrive(on, source, int(draw.integers(50, 90)), float(draw.integers(1, 5)), x)
        on.label(place, "fraud" if thief else "ok")
        on.learn()
    return on


@pytest.fixture(scope="module")
def learner() -> Learner:
    return learned()


def new(source: int, target: int, weight: float = 1.0, x: tuple[float, float] = (0.0, 0.0)) -> Arriving:
    return Arriving((source, target), weight, NOW, np.array(x, np.float32))


def probability(on: Learner, edge: Arriving, of_class: str) -> float:
    return on.answer_new(edge.ends, edge.weight, edge.time, edge.features).probabilities[of_class]


def change(found: EdgeExplanation, part: Part) -> float:
    return next(effect.change for effect in found.effects if effect.part == part)


def inputs_of(on: Learner, edge: Arriving) -> Inputs:
    asked = on.asked(np.array([edge.ends]), np.array([edge.weight]), np.array([edge.time]))
    return on.history.inputs(asked, edge.features[None])


def flat(inputs: Inputs) -> npt.NDArray[np.float32]:
    return np.concatenate([array.ravel() for array in inputs])


def test_each_input_belongs_to_one_part() -> None:
    inputs = Inputs(np.full((1, 16), 7, np.float32), np.full((1, 18, 2), 7, np.float32), np.full((1, 3), 7, np.float32))
    touched = [flat(without(inputs, (part,))) != 7 for part in PARTS]
    assert np.sum(touched, axis=0).tolist() == [1] * (16 + 36 + 3)
    assert parts_of(inputs) == PARTS
    assert (flat(inputs) == 7).all()


@pytest.mark.parametrize("number", [0, 1])
def test_without_its_parts_an_end_is_a_node_that_is_not_there(learner: Learner, number: int) -> None:
    edge = new(THIEF, 55)
    absent = new(-1, 55) if number == 0 else new(THIEF, -1)
    parts = [part for part in PARTS if part.end == ENDS[number] or part.kind == "between"]
    for found, expected in zip(without(inputs_of(learner, edge), parts), inputs_of(learner, absent), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("edge", [new(THIEF, 55, 3.0), new(20, 55, 0.5, (0.5, 4.0)), new(THIEF, THIEF), new(-1, 55)])
def test_the_total_is_that_of_an_edge_of_which_nothing_is_known(learner: Learner, edge: Arriving) -> None:
    found = explain_edge(learner, edge, 5)
    assert found.probability == probability(learner, edge, found.label)
    without_all = probability(learner, new(-1, -1), found.label)
    assert found.total == pytest.approx(without_all - found.probability, abs=1e-6)
    assert found.interaction == pytest.approx(found.total - sum(effect.change for effect in found.effects), abs=1e-6)
    changes = [abs(effect.change) for effect in found.effects]
    assert changes == sorted(changes, reverse=True)
    assert not found.remembered


def test_weight_and_features_are_taken_away_as_from_an_edge_that_has_none(learner: Learner) -> None:
    edge = new(-1, 55, 3.0, (0.5, 4.0))
    found = explain_edge(learner, edge, 5)
    for part, plain in ((Part("weight"), new(-1, 55, 1.0, (0.5, 4.0))), (Part("features"), new(-1, 55, 3.0))):
        without_it = probability(learner, plain, found.label)
        assert change(found, part) == pytest.approx(without_it - found.probability, abs=1e-6)
    assert abs(change(found, Part("features"))) > 0.01


def test_an_edge_that_has_arrived_is_explained_by_what_was_known_then(learner: Learner) -> None:
    with_x, without_x = copy.deepcopy(learner), copy.deepcopy(learner)
    place = arrive(with_x, THIEF, BAR, 2.0, (0.5, 4.0))
    assert arrive(without_x, THIEF, BAR, 2.0) == place
    without_x.head = with_x.head
    found = explain_edge(with_x, place, 5)
    assert found.remembered
    assert (found.label, found.probability) == ("fraud", with_x.answer(place).probabilities["fraud"])
    really = without_x.answer(place).probabilities["fraud"]
    assert change(found, Part("features")) == pytest.approx(really - found.probability, abs=1e-6)
    assert (found.labels, found.counted) == ((), 0)


@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize(
    ("labelled", "asked"),
    [((THIEF, SHOP), (THIEF, 60)), ((3, SHOP), (THIEF, SHOP)), ((THIEF, BAR), (THIEF, BAR)), ((BAR, 3), (3, BAR))],
    ids=["at the source", "at the target, and joined", "between both", "the other way"],
)
def test_a_label_is_taken_away_as_if_it_had_not_come(
    directed: bool, labelled: tuple[int, int], asked: tuple[int, int]
) -> None:
    before = copy.deepcopy(learned(directed=directed))
    place = arrive(before, *labelled)
    after = copy.deepcopy(before)
    after.label(place, "fraud")
    before.guard = after.guard  # what is learned of labels stays
    edge = new(*asked)
    found = explain_edge(after, edge, MOST_LABELS)
    effect = next(effect for effect in found.labels if effect.place == place)
    really = probability(before, edge, found.label) - probability(after, edge, found.label)
    assert really
    assert effect.change == pytest.approx(really, abs=1e-7)


def test_the_last_labels_are_taken_away_and_the_largest_listed(learner: Learner) -> None:
    on = copy.deepcopy(learner)
    places = [arrive(on, THIEF, SHOP, name=f"e{number}") for number in range(MOST_LABELS + 6)]
    for place in places[:-1]:
        on.label(place, "fraud")
    every = explain_edge(on, new(THIEF, SHOP), MOST_LABELS)
    some = explain_edge(on, new(THIEF, SHOP), 3)
    assert every.counted == some.counted == MOST_LABELS
    assert some.labels == every.labels[:3]
    assert sorted(effect.place for effect in every.labels) == places[5:-1]
    assert explain_edge(on, new(-1, -1), 3).counted == 0


def test_nothing_is_changed_by_an_explanation(learner: Learner) -> None:
    def everything() -> dict[str, bytes]:
        arrays, values = learner.state()
        return {name: array.tobytes() for name, array in arrays.items()} | {"plain": repr(values).encode()}

    before = everything()
    explain_edge(learner, new(THIEF, SHOP, 2.0, (1.0, 1.0)), 5)
    explain_edge(learner, 7, 5)
    assert everything() == before
