from __future__ import annotations

import json
import math

import numpy as np
import pytest

from olad_core.evaluation.decisions import KEPT, Decisions, explain_choice
from olad_core.evaluation.selection import choose_best

NAN = math.nan
NAMES = ["gcn", "sage", "gat"]


def explain(accuracy: list[float], current: int | None, scored: int = 100) -> tuple[str, str, dict[str, float]]:
    arrays = np.array(accuracy), np.full(3, scored)
    chosen = choose_best(*arrays, np.array([3.0, 1.0, 2.0]), current, margin=0.01, least_scored=50)
    return explain_choice(NAMES, *arrays, current, chosen, margin=0.01, least_scored=50)


@pytest.mark.parametrize(
    ("accuracy", "current", "scored", "kind", "reason"),
    [
        ([NAN] * 3, None, 0, "first-version", "sage has the lowest training loss"),
        ([0.7, 0.6, 0.8], None, 100, "first-version", "gat has the highest recent accuracy, 80.0 %"),
        ([0.7, 0.6, 0.8], 0, 49, "student-kept", "gcn stays: not every student has 50 scored predictions"),
        ([0.8, 0.6, 0.7], 0, 100, "student-kept", "gcn stays: no recent accuracy is above its 80.0 %"),
        (
            [0.795, 0.6, 0.8],
            0,
            100,
            "student-kept",
            "gcn stays: gat is ahead with 80.0 % against 79.5 %, but by no more than 1.0 points",
        ),
        (
            [0.7, 0.6, 0.8],
            0,
            100,
            "student-switched",
            "from gcn to gat: recent accuracy 80.0 % against 70.0 %, by more than 1.0 points",
        ),
    ],
)
def test_each_choice_has_its_reason(
    accuracy: list[float], current: int | None, scored: int, kind: str, reason: str
) -> None:
    assert explain(accuracy, current, scored)[:2] == (kind, reason)


def test_numbers_are_those_it_was_decided_by() -> None:
    numbers = explain([0.7, NAN, 0.8], 0)[2]
    assert numbers == {"accuracy_gcn": 0.7, "accuracy_gat": 0.8, "margin": 0.01}


class TestDecisions:
    def test_are_told_newest_first_and_numbered(self) -> None:
        decisions = Decisions()
        decisions.add("first-version", "1-0", 5, "why", student="gcn", version=1)
        decisions.add("drift", "2-0", 9, "errors rose", numbers={"before": 0.1})
        newest, oldest = decisions.newest_first()
        assert (newest.number, newest.kind, newest.student, newest.numbers) == (2, "drift", None, {"before": 0.1})
        assert (oldest.number, oldest.position, oldest.applied_events, oldest.version) == (1, "1-0", 5, 1)
        assert decisions.since(1) == (newest,)
        assert decisions.since(2) == ()

    def test_routine_ones_do_not_push_out_rare_ones(self) -> None:
        decisions = Decisions()
        decisions.add("drift", "1-0", 1, "rare")
        for version in range(3 * KEPT):
            decisions.add("student-kept", "2-0", 2, "routine", version=version)
        kept = decisions.newest_first()
        assert len(kept) == KEPT
        assert kept[-1].kind == "drift"
        assert [decision.version for decision in kept[:-1]] == list(range(3 * KEPT))[:-KEPT:-1]
        assert decisions.total == 3 * KEPT + 1

    def test_go_on_from_their_state_written_as_json(self) -> None:
        one, other = Decisions(), Decisions()
        for number in range(KEPT + 5):
            one.add("student-kept", "1-0", number, "why", student="gcn", version=number, numbers={"margin": 0.1})
        other.restore(json.loads(json.dumps(one.state())))
        for decisions in (one, other):
            decisions.add("drift", "2-0", 7, "errors rose")
        assert other.newest_first() == one.newest_first()
        assert other.total == one.total
