from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import redis

from service.store.connection import connect
from service.store.keys import Keys
from service.store.watermark import Watermark
from tests.redis_server import RedisServer
from tests.service.fake_redis import answering


@pytest.fixture
async def watermark(redis_server: RedisServer, keys: Keys) -> AsyncIterator[Watermark]:
    client = connect(redis_server.url, keys)
    watermark = Watermark(client, keys)
    following = asyncio.create_task(watermark.run())
    yield watermark
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    await client.aclose()


async def wait_for(watermark: Watermark, position: tuple[int, int], timeout_s: float = 60) -> None:
    with watermark.waiter(position) as passed:
        async with asyncio.timeout(timeout_s):
            await passed


async def test_those_wake_up_whose_position_is_passed(
    watermark: Watermark, redis_client: redis.Redis, keys: Keys
) -> None:
    waits = [asyncio.create_task(wait_for(watermark, (number // 10, number % 10))) for number in range(5_000)]
    while watermark.waiting < 5_000:
        await asyncio.sleep(0)
    redis_client.hset(keys.served, "position", "249-9")
    await asyncio.gather(*waits[:2_500])
    assert watermark.waiting == 2_500
    assert not any(wait.done() for wait in waits[2_500:])
    while not redis_client.publish(keys.watermark, "499-9"):
        await asyncio.sleep(0.01)
    await asyncio.gather(*waits)
    assert watermark.waiting == 0


async def test_a_wait_that_was_given_up_leaves_nothing_behind(watermark: Watermark) -> None:
    stays = asyncio.create_task(wait_for(watermark, (2**63, 0)))
    for number in range(1_000):
        with pytest.raises(TimeoutError):
            await wait_for(watermark, (2**62 + number, 0), timeout_s=0)
    assert watermark.waiting == 1
    assert watermark.kept <= 3
    stays.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await stays
    assert watermark.waiting == 0


async def test_it_follows_again_after_redis_was_away(own_redis_server: RedisServer, keys: Keys) -> None:
    client = connect(own_redis_server.url, keys)
    watermark = Watermark(client, keys)
    following = asyncio.create_task(watermark.run())
    wait = asyncio.create_task(wait_for(watermark, (7, 0)))
    while watermark.waiting < 1:
        await asyncio.sleep(0)
    await asyncio.to_thread(own_redis_server.stop)
    await asyncio.to_thread(own_redis_server.start)
    with own_redis_server.client() as writing:
        writing.hset(keys.served, "position", "7-0")
        await wait
        wait = asyncio.create_task(wait_for(watermark, (8, 0)))
        while not writing.publish(keys.watermark, "8-0"):
            await asyncio.sleep(0.01)
        await wait
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    await client.aclose()


async def test_it_ends_when_it_is_cancelled_whenever_that_is(keys: Keys) -> None:
    with answering(b"-BUSY Redis is busy running a script.") as url:
        client = connect(url, keys)
        for attempt in range(150):
            following = asyncio.create_task(Watermark(client, keys).run())
            await asyncio.sleep(0.0001 * attempt)
            following.cancel()
            ended, _ = await asyncio.wait({following}, timeout=5)
            assert ended
        await client.aclose()
