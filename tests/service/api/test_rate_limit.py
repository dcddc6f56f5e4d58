from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.api.access import Caller
from service.api.rate_limit import RateLimiter
from service.api_keys import create_key, read_keys
from service.problems import Problem
from service.settings import Settings
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving


def test_more_than_allowed_is_refused_with_the_time_to_wait(redis_server: RedisServer, graph: str) -> None:
    with serving(redis_server.url, graph, rate_limit="3/hour") as client:
        answers = [client.get("/schema") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0"]
        refused = client.get("/schema")
        assert_problem(refused, 429, "rate-limited")
        assert refused.headers["ratelimit-limit"] == "3"
        assert 0 < int(refused.headers["retry-after"]) <= 2 * 3600
        assert refused.headers["ratelimit-reset"] == refused.headers["retry-after"]
        # An orchestrator's question must not end with a restart.
        assert client.get("/health/live").status_code == 200


def test_without_the_setting_there_are_no_limits(redis_server: RedisServer, graph: str) -> None:
    with serving(redis_server.url, graph) as client:
        assert "ratelimit-limit" not in client.get("/schema").headers


def test_each_key_has_its_own(redis_server: RedisServer, graph: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = [create_key(file, name, ["read"]) for name in "ab"]
    with serving(redis_server.url, graph, rate_limit="1/hour", api_keys_file=file) as client:
        for key in keys:
            headers = {"authorization": f"Bearer {key}"}
            assert client.get("/schema", headers=headers).status_code == 200
            assert_problem(client.get("/schema", headers=headers), 429, "rate-limited")
        # Guessing keys is limited by address.
        assert client.get("/schema").status_code == 401
        assert client.get("/schema", headers={"authorization": "Bearer x"}).status_code == 429


def scope(address: str | None) -> dict[str, object]:
    return {"path": "/schema", "client": (address, 1) if address is not None else None}


async def test_the_addresses_of_one_site_count_together() -> None:
    limiter = RateLimiter("1/hour")
    await limiter.check(Caller(), scope("2001:db8:0:1::1"))
    with pytest.raises(Problem):
        await limiter.check(Caller(), scope("2001:db8:0:1:ffff::2"))
    for other in ("2001:db8:0:2::1", "192.0.2.1", "192.0.2.2", "::ffff:192.0.2.3", "::ffff:192.0.2.4", "pipe", None):
        await limiter.check(Caller(), scope(other))
        with pytest.raises(Problem):
            await limiter.check(Caller(), scope(other))


async def test_of_several_limits_all_hold() -> None:
    limiter = RateLimiter("5/hour; 2/second")
    first = dict(await limiter.check(Caller(), scope("192.0.2.1")))
    assert (first[b"ratelimit-limit"], first[b"ratelimit-remaining"]) == (b"2", b"1")
    refused = 0
    for _ in range(8):
        try:
            await limiter.check(Caller(), scope("192.0.2.1"))
        except Problem as problem:
            refused += 1
            last = problem
    assert refused >= 4
    assert last.headers["RateLimit-Limit"] == "5"


def test_a_limit_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValidationError, match="rate_limit"):
        Settings(rate_limit="many")


async def test_a_key_is_counted_by_its_id_and_not_by_its_name(tmp_path: Path) -> None:
    create_key(tmp_path / "keys.json", "192.0.2.1", ["read"])
    (key,) = read_keys(tmp_path / "keys.json")
    limiter = RateLimiter("1/hour")
    await limiter.check(Caller(key), scope("192.0.2.1"))
    await limiter.check(Caller(), scope("192.0.2.1"))


def test_a_shared_limit_holds_over_processes_and_outlives_redis(own_redis_server: RedisServer, graph: str) -> None:
    limited = {"rate_limit": "6/hour;1000/day", "rate_limit_shared": True}
    with serving(own_redis_server.url, graph, **limited) as one, serving(own_redis_server.url, graph, **limited) as two:
        answers = [api.get("/schema") for _ in range(3) for api in (one, two)]
        assert [answer.status_code for answer in answers] == [200] * 6
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["5", "4", "3", "2", "1", "0"]
        for api in (one, two):
            assert_problem(api.get("/schema"), 429, "rate-limited")
        with own_redis_server.client() as client:
            found = [key.decode() for key in client.keys("*rate*")]
            assert found
            assert all(key.startswith(f"olad:{{{graph}}}:rate:") and client.ttl(key) > 0 for key in found)
        own_redis_server.stop()
        # Each counts for itself then: the answers are those of a service without Redis, not refusals.
        assert [one.get("/schema").status_code for _ in range(7)] == [503] * 6 + [429]
