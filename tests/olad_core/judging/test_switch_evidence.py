"""Evidence for a switch of what is served: how often it errs, and how soon it finds what is better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from olad_core.judging.metric import ACCURACY, parse_metric
from olad_core.judging.standings import Standings
from olad_core.judging.switch_evidence import AT_FIRST, AT_START, RATE, SwitchEvidence
from olad_core.serving.choice import Candidates, choose_best, may_take_over
from olad_core.tasks.label_rule import LabelRule

Floats = npt.NDArray[np.float64]
STUDENTS, CLASSES, EVERY = 4, 5, 25
"""Students of a group, classes, and nodes from one decision to the next."""
NOTHING = np.zeros(STUDENTS)


def probabilities(
    draw: np.random.Generator, labels: npt.NDArray[np.int64], accuracy: Floats
) -> npt.NDArray[np.float32]:
    """Students that are right together as often as not, and else each for itself."""
    nodes, students = len(labels), len(accuracy)
    alike, apart = draw.random((nodes, 1)), draw.random((nodes, students))
    right = np.where(draw.random((nodes, 1)) < 0.5, alike, apart) < accuracy
    other = (labels[:, None] + draw.integers(1, CLASSES, (nodes, 1))) % CLASSES
    predicted = np.where(right, labels[:, None], other)
    return (0.8 * np.eye(CLASSES)[predicted] + 0.2 / CLASSES).astype(np.float32)


def candidates(standings: Standings) -> Candidates:
    return Candidates(
        names=tuple("abcd"),
        students=(),
        standing=standings.expected(),
        metric=ACCURACY,
        training_loss=NOTHING,
        temperatures=np.ones(STUDENTS),
        classes=tuple("vwxyz"),
        evidence=(0, 0),
        ahead=standings.evidence.ahead(),
    )


def served(
    seed: int, accuracy: Callable[[int], Floats], nodes: int, *, evidence: bool = True, first: int = 0
) -> list[int]:
    """Which student is served after each decision on a stream of nodes, all of which get their label at once."""
    draw = np.random.default_rng(seed)
    standings, current, found = Standings(STUDENTS, 500.0, ACCURACY), first, []
    for at in range(0, nodes, EVERY):
        labels = draw.integers(0, CLASSES, EVERY)
        answers = probabilities(draw, labels, accuracy(at))
        standings.observe(answers, np.ones(STUDENTS))
        standings.compare(answers, labels, np.ones(STUDENTS), None)
        standings.evidence.serve(current)
        asked = candidates(standings)
        shown = may_take_over(asked, current, NOTHING, group_lost=False, margin=0.005) if evidence else None
        current = choose_best(asked.standing, NOTHING, current, margin=0.005, shown=shown)
        found.append(current)
    return found


def level(_: int) -> Floats:
    return np.full(STUDENTS, 0.8)


def switches(chosen: list[int], first: int = 0) -> int:
    return sum(one != other for one, other in zip([first, *chosen], chosen, strict=False))


def test_level_students_switch_less_than_once_in_4000_nodes() -> None:
    with_evidence = [switches(served(seed, level, 4_000)) for seed in range(8)]
    without = [switches(served(seed, level, 4_000, evidence=False)) for seed in range(2)]
    assert np.mean(with_evidence) <= 1
    assert np.mean(without) > 4


def test_a_student_that_is_five_points_ahead_is_taken_and_stays() -> None:
    def ahead(_: int) -> Floats:
        return np.array([0.8, 0.8, 0.8, 0.85])

    runs = [served(seed, ahead, 2_000) for seed in range(8)]
    assert sum(3 in run for run in runs) >= 7
    assert np.mean([run[-1] == 3 for run in runs]) >= 0.75
    assert np.median([run.index(3) if 3 in run else len(run) for run in runs]) * EVERY <= 1_000


def test_what_becomes_better_later_is_found_as_what_always_was() -> None:
    def later(at: int) -> Floats:
        return np.array([0.8, 0.7, 0.7, 0.6 if at < 3_000 else 0.9])

    runs = [served(seed, later, 4_000) for seed in range(3)]
    assert all(run[-1] == 3 for run in runs)


@pytest.mark.parametrize("seed", range(3))
def test_a_student_that_breaks_is_left_at_once(seed: int) -> None:
    def broken(at: int) -> Floats:
        return np.array([0.8 if at < 2_000 else 0.2, 0.8, 0.8, 0.8])

    chosen = served(seed, broken, 2_100, first=0)
    before = chosen[2_000 // EVERY - 1]
    assert before != 0 or chosen[(2_000 + 75) // EVERY] != 0


def test_a_mistake_is_as_rare_as_stated() -> None:
    """The sum minus the number of nodes has no drift, so its mean is what it began with."""
    draw, nodes = np.random.default_rng(1), 400
    sums = []
    for _ in range(300):
        evidence = SwitchEvidence(2)
        evidence.serve(0)
        evidence.add(draw.integers(0, 2, (nodes, 2)).astype(np.float64))
        sums.append(evidence.state()["sums"][0, 1, 0])  # of the smallest bet, whose sum varies least
    assert np.mean(sums) == pytest.approx(AT_FIRST + nodes, rel=0.25)


def test_another_one_that_is_served_is_compared_anew() -> None:
    evidence = SwitchEvidence(2)
    assert evidence.ahead() is None
    evidence.serve(0)
    evidence.add(np.tile([0.0, 1.0], (40, 1)))
    assert evidence.ahead() == pytest.approx([False, True])
    evidence.serve(0)
    assert evidence.ahead() == pytest.approx([False, True])
    evidence.serve(1)
    assert evidence.ahead() == pytest.approx([False, False])
    assert set(np.unique(evidence.state()["sums"])) == {AT_START}


def test_nodes_count_alike_at_once_and_one_by_one() -> None:
    scores = np.random.default_rng(0).random((50, 3))
    one, other = SwitchEvidence(3), SwitchEvidence(3)
    one.add(scores)
    for score in scores:
        other.add(score[None])
    other.add(scores[:0])
    at_once, one_by_one = (each.state()["sums"].astype(np.float64) for each in (one, other))
    np.testing.assert_allclose(at_once, one_by_one)


def test_new_weights_and_changed_conditions() -> None:
    evidence = SwitchEvidence(3)
    evidence.serve(1)
    evidence.renew(1)
    assert evidence.ahead() == pytest.approx([True, False, True])
    evidence = SwitchEvidence(3)
    evidence.serve(1)
    evidence.add(np.tile([0.0, 1.0, 0.0], (100, 1)))
    evidence.loosen()
    assert evidence.state()["sums"][:, [0, 2], 1] == pytest.approx(AT_FIRST)
    evidence.add(np.tile([1.0, 0.0, 0.0], (200, 1)))
    assert evidence.ahead() == pytest.approx([True, False, False])
    assert np.isfinite(evidence.state()["sums"]).all()


def test_a_state_is_taken_over_and_one_of_other_choices_is_not() -> None:
    evidence, same, more = SwitchEvidence(2), SwitchEvidence(2), SwitchEvidence(3)
    evidence.serve(0)
    evidence.add(np.tile([0.0, 1.0], (40, 1)))
    same.restore(evidence.state())
    more.restore(evidence.state())
    more.restore({})
    assert same.ahead() == pytest.approx([False, True])
    assert more.ahead() is None


@pytest.mark.parametrize("declared", ["accuracy", "macro_f1", "log_loss", "average_precision:w"])
def test_it_is_of_the_metric_that_decides(declared: str) -> None:
    """Of a rare class; one student finds it, and the others do but a third of it."""
    draw = np.random.default_rng(0)
    standings = Standings(3, 500.0, parse_metric(declared))
    standings.know_classes(("v", "w"), LabelRule())
    standings.evidence.serve(0)
    for _ in range(60):
        labels = (draw.random(25) < 0.1).astype(np.int64)
        finds = np.array([0.33, 0.9, 0.33])
        rare = np.where((labels[:, None] == 1) & (draw.random((25, 3)) < finds), 0.9, 0.05)
        answers = np.stack([1 - rare, rare], axis=2).astype(np.float32)
        standings.compare(answers, labels, np.ones(3), None)
    assert standings.evidence.ahead() == pytest.approx([False, True, False])
    assert RATE > AT_FIRST


def test_very_many_labels_at_once_that_all_favour_a_renewed_choice_are_evidence() -> None:
    evidence = SwitchEvidence(2)
    evidence.serve(0)
    evidence.renew(1)
    evidence.add(np.tile([0.0, 1.0], (5_000, 1)))
    assert np.isfinite(evidence.state()["sums"]).all()
    ahead = evidence.ahead()
    assert ahead is not None
    assert ahead.tolist() == [False, True]
