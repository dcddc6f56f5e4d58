"""Short forms of ``make chaos``, ``make flood`` and ``make recovery``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.chaos import strike
from tests.chaos.flood import flood
from tests.chaos.recovery import prove
from tests.chaos.service import running_service
from tests.chaos.small_disk import why_not
from tests.chaos.workers import Nursery
from tests.redis_server import RedisServer


def test_killed_at_any_point_the_run_ends_the_same_to_the_byte(
    redis_server: RedisServer, nursery: Nursery, tmp_path: Path
) -> None:
    done = prove(redis_server, nursery, tmp_path, kills=5)
    assert done.kills == {"anywhere": 1, "restart": 1, "checkpoint": 1, "publication": 1, "swap": 1}
    assert done.replays > 0
    assert done.differences == []


@pytest.mark.timeout(200)
def test_whatever_breaks_nothing_is_lost_and_nothing_applied_twice(nursery: Nursery, tmp_path: Path) -> None:
    rows, answers = strike(nursery, tmp_path, rounds=1)
    assert len(rows) == (13 if why_not() else 14)
    for row in rows:
        assert (row.lost, row.duplicated) == (0, 0), row
        assert row.applied == row.accepted > 0, row
        assert row.injected > 0, row
    assert answers["202"] > 50


def test_a_producer_that_is_too_fast_is_refused_and_what_is_accepted_is_applied(
    nursery: Nursery, tmp_path: Path
) -> None:
    with running_service(nursery, tmp_path) as service:
        found = flood(service, seconds=3)
    assert found.sound, found
    assert found.refused > 0
    assert found.unready == 0
