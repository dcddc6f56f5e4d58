"""The verdict of the soak on what grows and what does not."""

from __future__ import annotations

import pytest

from tests.chaos.soak import WARM_UP, growth

SECONDS = [float(second) for second in range(360)]
JUDGED = (1 - WARM_UP) * 360


def test_what_rises_steadily_has_grown_by_that() -> None:
    assert growth(SECONDS, [5 + 0.01 * second for second in SECONDS]) == pytest.approx(0.01 * JUDGED, rel=0.02)


def test_a_dip_and_a_gap_are_no_growth() -> None:
    values = [5.7 if 140 <= second < 170 else float("nan") if 200 <= second < 210 else 6.9 for second in SECONDS]
    assert growth(SECONDS, values) == 0


def test_the_first_part_does_not_count() -> None:
    assert growth(SECONDS, [min(second, WARM_UP * 360) for second in SECONDS]) == 0


def test_steps_that_follow_one_another_are_growth() -> None:
    assert growth(SECONDS, [second // 60 for second in SECONDS]) > 2
