from __future__ import annotations

import pytest

from olad_core.step_size import StepSize
from service.worker.pace import LEARN_AT_LEAST_EVERY_S, LEAST, REST_FOR_READERS, LearningPace, Part

TARGET_MS = 100
FITTING_S = 0.005


def settled(took_per_share: float, part: Part = "step") -> float:
    """Size of the steps or slices after many, where one of the configured size takes so long."""
    pace = LearningPace(TARGET_MS, 0.0)
    for number in range(200):
        took = took_per_share * pace.sizes[part].fraction
        pace.follow(part, float(number), number + took, last=part != "step")
        if part == "step":
            pace.follow(part, number + took, number + took)
    return pace.sizes[part].fraction


def test_steps_grow_to_what_the_target_allows_and_no_further() -> None:
    assert settled(0.001) == 1.0
    assert settled(4 * FITTING_S) == pytest.approx(0.25)
    assert settled(1000 * FITTING_S) == LEAST["step"]
    assert settled(1000 * FITTING_S, "slice") == LEAST["slice"]


def test_a_step_is_sized_by_the_longest_of_its_parts() -> None:
    pace = LearningPace(TARGET_MS, 0.0)
    for number in range(200):
        size = pace.sizes["step"]
        for place, share in enumerate((0.5, 4.0, 0.1)):
            pace.follow("step", float(number), number + share * FITTING_S * size.fraction, last=place == 2)
            assert pace.sizes["step"] == size or place == 2
    assert pace.sizes["step"].fraction == pytest.approx(0.25)


def test_the_update_of_the_weights_makes_no_step_smaller() -> None:
    pace = LearningPace(TARGET_MS, 0.0)
    for number in range(50):
        pace.follow("step", float(number), number + FITTING_S / 2 * pace.sizes["step"].fraction, last=False)
        pace.follow("step", number + 0.5, number + 0.5 + 3 * FITTING_S)
    assert pace.sizes["step"] == StepSize()


def test_slices_have_a_size_of_their_own() -> None:
    pace = LearningPace(TARGET_MS, 0.0)
    for number in range(200):
        pace.follow("step", float(number), number + 0.001)
        pace.follow("slice", number + 0.5, number + 0.5 + 2 * FITTING_S * pace.sizes["slice"].fraction)
    assert pace.sizes["step"] == StepSize()
    assert pace.sizes["slice"].fraction == pytest.approx(0.5)


def test_events_are_waited_for_as_long_as_the_step_took() -> None:
    pace = LearningPace(TARGET_MS, 0.0)
    pace.saw_events()
    pace.follow("step", 1.0, 1.25)
    assert pace.rest_left(1.25) == 0.25
    assert not pace.is_due(1.375, loaded=False)
    assert pace.is_due(1.5, loaded=False)


def test_readers_are_waited_for_longer() -> None:
    pace = LearningPace(TARGET_MS, 0.0)
    pace.saw_readers()
    pace.saw_events()
    pace.follow("step", 1.0, 1.25)
    assert pace.rest_left(1.25) == REST_FOR_READERS * 0.25
    pace.saw_events()
    pace.follow("step", 3.0, 3.25)
    assert pace.rest_left(3.25) == 0.25


def test_without_events_nothing_is_waited_for() -> None:
    pace = LearningPace(TARGET_MS, 0.0)
    pace.saw_events()
    pace.follow("step", 1.0, 1.25)
    pace.follow("step", 1.5, 1.75)
    assert pace.rest_left(1.75) == 0
    assert pace.is_due(1.75, loaded=False)


def test_under_load_a_step_is_taken_now_and_then() -> None:
    pace = LearningPace(TARGET_MS, 0.0)
    pace.follow("step", 1.0, 1.25)
    assert not pace.is_due(1.25 + LEARN_AT_LEAST_EVERY_S, loaded=True)
    assert pace.is_due(1.5 + LEARN_AT_LEAST_EVERY_S, loaded=True)
