"""Measured time decides what can be served: what a load is expected of, and when a choice is taken again."""

from __future__ import annotations

import pytest

from olad_core.serving.load import MOST_LEFT, QUIET_S, Load, TurnTime

COSTS = {"gcn": 2.0, "sage": 1.0, "group": 8.0}
NAMES = list(COSTS)
REAL = {"gcn": 0.0001, "sage": 0.00006, "group": 0.0006}
"""Seconds of an event, whatever is assumed."""


class Traffic:
    """A worker in numbers: events in turns, and what is served of them."""

    def __init__(self, served: str = "gcn") -> None:
        self.load = Load(freshness_target_s=0.1)
        self.served = served
        self.switches: list[str] = []

    def go(self, seconds: float, events_per_s: float, *, turns_per_s: int = 50) -> None:
        """Let events come at a rate; a switch follows the rule of ``auto``, with a group that is always better."""
        for _ in range(round(seconds * turns_per_s)):
            events = round(events_per_s / turns_per_s)
            turn = TurnTime(events, 1 / turns_per_s, shared_s=events * 0.00001, own_s=events * REAL[self.served])
            self.load.follow(turn, self.served, COSTS)
            allowed = dict(zip(NAMES, self.load.allowed(NAMES, self.served), strict=True))
            chosen = "group" if allowed["group"] else "gcn"
            if chosen != self.served:
                self.served = chosen
                self.switches.append(chosen)


def test_without_measurements_everything_keeps_up() -> None:
    load = Load(0.1)
    assert load.allowed(NAMES, None).all()
    assert not load.exceeds("group")
    assert load.penalty(NAMES).tolist() == [0.0] * 3
    assert load.event_s("gcn") is None


def test_the_group_is_taken_when_it_was_quiet_and_left_within_a_second_of_a_burst() -> None:
    traffic = Traffic()
    traffic.go(QUIET_S - 1, events_per_s=50)
    assert traffic.served == "gcn"
    traffic.go(2, events_per_s=50)
    assert traffic.served == "group"
    traffic.go(0.5, events_per_s=2_000)
    assert traffic.served == "gcn"
    traffic.go(QUIET_S - 1, events_per_s=50)
    assert traffic.served == "gcn"
    traffic.go(4, events_per_s=50)
    assert traffic.served == "group"


@pytest.mark.parametrize("events_per_s", [50, 200, 400, 600, 800, 1_000, 1_500, 2_000, 4_000, 20_000])
def test_under_a_level_load_there_is_one_attempt_at_most(events_per_s: int) -> None:
    traffic = Traffic()
    traffic.go(120, events_per_s)
    assert len(traffic.switches) <= 2
    busy = events_per_s * (REAL["group"] + 0.00001)
    if not 0.25 < busy <= 0.5:
        assert traffic.served == ("group" if busy <= 0.25 else "gcn")


def test_one_slow_turn_decides_nothing() -> None:
    traffic = Traffic("group")
    traffic.go(20, events_per_s=50)
    traffic.load.follow(TurnTime(events=1, elapsed_s=0.15, own_s=0.15), "group", COSTS)
    assert not traffic.load.exceeds("group")


def test_a_turn_that_is_long_is_too_long_however_rare() -> None:
    load = Load(0.1)
    for _ in range(60):
        load.follow(TurnTime(events=500, elapsed_s=0.5, own_s=0.05), "group", COSTS)
    assert load.exceeds("group")
    assert not load.exceeds("sage")


def test_what_is_left_to_later_turns_counts_as_time() -> None:
    whole, left = Load(0.1), Load(0.1)
    for _ in range(100):
        left.note_left(wanted=10, left=5)
        for load in (whole, left):
            load.follow(TurnTime(events=10, elapsed_s=0.02, own_s=0.002), "gcn", COSTS)
    assert left.expected(["gcn"])[0] == pytest.approx(2 * whole.expected(["gcn"])[0])
    left.note_left(wanted=10, left=10)
    left.follow(TurnTime(events=10, elapsed_s=0.02, own_s=0.002), "gcn", COSTS)
    assert left.expected(["gcn"])[0] < MOST_LEFT * whole.expected(["gcn"])[0]


def test_costs_are_measured_after_a_switch() -> None:
    traffic = Traffic()
    traffic.go(30, events_per_s=100)
    assert traffic.served == "group"
    found = traffic.load.relative_cost("group") / traffic.load.relative_cost("gcn")
    assert found == pytest.approx(REAL["group"] / REAL["gcn"], rel=0.05)
    assert traffic.load.was_measured("group")
    assert not traffic.load.was_measured("sage")
    assert traffic.load.event_s("group") == pytest.approx(REAL["group"] + 0.00001, rel=0.05)
    assert traffic.load.event_s("gcn") == pytest.approx(REAL["gcn"] + 0.00001, rel=0.1)


def test_what_was_too_expensive_gets_another_attempt_after_minutes() -> None:
    traffic = Traffic()
    traffic.load._relative["group"] = 8 * COSTS["group"]  # measured while the graph was another one
    traffic.go(120, events_per_s=100, turns_per_s=20)
    assert traffic.served == "gcn"
    traffic.go(1_200, events_per_s=100, turns_per_s=20)
    assert traffic.served == "group"


def test_a_switch_that_takes_long_needs_a_longer_quiet() -> None:
    load = Load(0.1)
    assert load.quiet_needed_s("group") == QUIET_S
    load.begin_embedding("gcn")
    load.follow(TurnTime(0, 1.0, slices_s=0.5), None, COSTS)
    load.end_embedding()
    load.follow(TurnTime(0, 1.0, slices_s=0.5), "gcn", COSTS)
    assert load.quiet_needed_s("group") == pytest.approx(16.0)
    assert load.quiet_needed_s("gcn") == QUIET_S
    load.begin_embedding("group")
    load.follow(TurnTime(0, 1.0, slices_s=5.0), "gcn", COSTS)
    assert load.quiet_needed_s("group") == pytest.approx(16.0), "it is not embedded yet"
    load.end_embedding()
    assert load.quiet_needed_s("group") == pytest.approx(20.0)


def test_a_cheaper_choice_needs_no_quiet() -> None:
    load = Load(0.1)
    for _ in range(50):
        load.follow(TurnTime(events=10, elapsed_s=0.02, own_s=0.018), "gcn", COSTS)
    assert load.allowed(NAMES, "gcn").tolist() == [False, True, False]
    assert load.penalty(NAMES)[1] == 0 < load.penalty(NAMES)[0] < load.penalty(NAMES)[2]
