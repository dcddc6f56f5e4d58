from __future__ import annotations

from typing import Any, cast

import pytest
import redis
import structlog

from service.worker.assembly import warn_of_known_holes
from tests.redis_server import RedisServer


class OldServer:
    """Answers as a server of some version would."""

    def __init__(self, **info: str) -> None:
        self._info = info

    def info(self, _section: str) -> dict[str, Any]:
        return self._info


def _warnings(client: object) -> list[dict[str, Any]]:
    with structlog.testing.capture_logs() as lines:
        warn_of_known_holes(cast("redis.Redis", client))
    return [dict(line) for line in lines]


@pytest.mark.parametrize(
    ("info", "version", "at_least"),
    [
        ({"redis_version": "6.2.14"}, "Redis 6.2.14", "Redis 8.10.1"),
        (
            {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.1.1"},
            "Valkey 8.1.1",
            "Valkey 9.1.1",
        ),
    ],
)
def test_a_version_with_known_holes_is_warned_of(info: dict[str, str], version: str, at_least: str) -> None:
    (line,) = _warnings(OldServer(**info))
    assert (line["log_level"], line["version"], line["at_least"]) == ("warning", version, at_least)


def test_a_sound_version_is_not(redis_client: redis.Redis) -> None:
    assert _warnings(redis_client) == []


def test_a_server_that_does_not_tell_is_passed_over(own_redis_server: RedisServer) -> None:
    with own_redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-info")
        assert _warnings(client) == []
    with redis.Redis(port=9) as away:
        assert _warnings(away) == []
