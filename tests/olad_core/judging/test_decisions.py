from __future__ import annotations

import json
import math

import numpy as np
import pytest

from olad_core.judging.decisions import KEPT, Decisions, explain_choice
from olad_core.judging.metric import parse_metric
from olad_core.serving.choice import choose_best

NAN = math.nan
NAMES = ["gcn", "sage", "gat"]


def explain(standing: list[float], current: int | None) -> tuple[str, str, dict[str, float]]:
    chosen = choose_best(np.array(standing), np.array([3.0, 1.0, 2.0]), current, margin=0.01)
    return explain_choice(NAMES, np.array(standing), current, chosen, margin=0.01)


@pytest.mark.parametrize(
    ("standing", "current", "kind", "reason"),
    [
        ([NAN] * 3, None, "first-version", "started with sage: lowest training loss"),
        ([-0.1, -0.2, 0.02], None, "first-version", "started with gat: highest expected accuracy"),
        ([-0.1, NAN, 0.0], 0, "student-kept", "kept gcn: some student has no expected accuracy yet"),
        (
            [-0.01, -0.2, -0.1],
            0,
            "student-kept",
            "kept gcn: highest expected accuracy",
        ),
        (
            [-0.005, -0.2, 0.0],
            0,
            "student-kept",
            "kept gcn: gat is only 0.5 points higher, and the margin is 1.0 points",
        ),
        (
            [-0.1, -0.2, 0.0],
            0,
            "student-switched",
            "switched from gcn to gat: expected accuracy 10.0 points higher",
        ),
    ],
)
def test_each_choice_has_its_reason(standing: list[float], current: int | None, kind: str, reason: str) -> None:
    assert explain(standing, current)[:2] == (kind, reason)


def test_numbers_are_those_it_was_decided_by() -> None:
    numbers = explain([-0.1, NAN, 0.0], 0)[2]
    assert numbers == {"standing_gcn": -0.1, "standing_gat": 0.0, "margin": 0.01}


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


@pytest.mark.parametrize(
    ("metric", "words"),
    [("macro_f1", "macro-F1 2.0 points higher"), ("log_loss", "log-loss 2.0 points lower")],
)
def test_a_choice_is_explained_by_the_metric_that_decided(metric: str, words: str) -> None:
    standing = np.array([0.0, 0.02])
    found = explain_choice(["gcn", "sage"], standing, 0, 1, margin=0.005, metric=parse_metric(metric))
    assert found[1] == f"switched from gcn to sage: expected {words}"
