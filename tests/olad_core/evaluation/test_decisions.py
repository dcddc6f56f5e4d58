from __future__ import annotations

import json
import math

import numpy as np
import pytest

from olad_core.evaluation.decisions import KEPT, Decisions, explain_choice
from olad_core.evaluation.selection import choose_best

NAN = math.nan
NAMES = ["gcn", "sage", "gat"]


def explain(quality: list[float], current: int | None) -> tuple[str, str, dict[str, float]]:
    chosen = choose_best(np.array(quality), np.array([3.0, 1.0, 2.0]), current, margin=0.01)
    return explain_choice(NAMES, np.array(quality), current, chosen, margin=0.01)


@pytest.mark.parametrize(
    ("quality", "current", "kind", "reason"),
    [
        ([NAN] * 3, None, "first-version", "sage has the lowest training loss"),
        ([0.7, 0.6, 0.8], None, "first-version", "gat has the highest expected accuracy, 80.0 %"),
        ([0.7, NAN, 0.8], 0, "student-kept", "gcn stays: nothing is known of some student"),
        ([0.8, 0.6, 0.7], 0, "student-kept", "gcn stays: no expected accuracy is above its 80.0 %"),
        (
            [0.795, 0.6, 0.8],
            0,
            "student-kept",
            "gcn stays: gat is ahead with 80.0 % against 79.5 %, but by no more than 1.0 points",
        ),
        (
            [0.7, 0.6, 0.8],
            0,
            "student-switched",
            "from gcn to gat: expected accuracy 80.0 % against 70.0 %, by more than 1.0 points",
        ),
    ],
)
def test_each_choice_has_its_reason(quality: list[float], current: int | None, kind: str, reason: str) -> None:
    assert explain(quality, current)[:2] == (kind, reason)


def test_numbers_are_those_it_was_decided_by() -> None:
    numbers = explain([0.7, NAN, 0.8], 0)[2]
    assert numbers == {"quality_gcn": 0.7, "quality_gat": 0.8, "margin": 0.01}


class TestDecisions:
    def test_are_told_newest_first_and_numbered(self) -> None:
        decisions = Decisions()
        decisions.follow("1-0", 5)
        decisions.add("first-version", "why", student="gcn", version=1)
        decisions.follow("2-0", 9)
        decisions.add("drift", "errors rose", numbers={"before": 0.1})
        newest, oldest = decisions.newest_first()
        assert (newest.number, newest.kind, newest.student, newest.numbers) == (2, "drift", None, {"before": 0.1})
        assert (newest.position, newest.applied_events) == ("2-0", 9)
        assert (oldest.number, oldest.position, oldest.applied_events, oldest.version) == (1, "1-0", 5, 1)
        assert decisions.since(1) == (newest,)
        assert decisions.since(2) == ()

    def test_routine_ones_do_not_push_out_rare_ones(self) -> None:
        decisions = Decisions()
        decisions.add("drift", "rare")
        for version in range(3 * KEPT):
            decisions.add("student-kept", "routine", version=version)
        kept = decisions.newest_first()
        assert len(kept) == KEPT
        assert kept[-1].kind == "drift"
        assert [decision.version for decision in kept[:-1]] == list(range(3 * KEPT))[:-KEPT:-1]
        assert decisions.total == 3 * KEPT + 1

    def test_go_on_from_their_state_written_as_json(self) -> None:
        one, other = Decisions(), Decisions()
        for number in range(KEPT + 5):
            one.follow("1-0", number)
            one.add("student-kept", "why", student="gcn", version=number, numbers={"margin": 0.1})
        other.restore(json.loads(json.dumps(one.state())))
        for decisions in (one, other):
            decisions.follow("2-0", 7)
            decisions.add("drift", "errors rose")
        assert other.newest_first() == one.newest_first()
        assert other.total == one.total
