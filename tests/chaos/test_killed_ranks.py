"""The short form of ``make recovery PARTITIONS=2``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.killed_ranks import prove
from tests.redis_server import RedisServer


@pytest.mark.timeout(400)
def test_ranks_that_were_killed_end_with_the_bytes_of_those_that_were_not(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    done = prove(redis_server, tmp_path, ranks=2, kills=4)
    assert done.kills.total() == 4
    assert done.differences == []
