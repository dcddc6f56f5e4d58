from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from redis.exceptions import ConnectionError as NotConnected

from service.store.connection import connect
from service.store.keys import Keys
from tests.redis_server import RedisServer


async def close_before_sending(connection: Any) -> None:
    """Close the transport at once, as the event loop does when the other side resets the connection."""
    connection._writer.transport.abort()
    await asyncio.sleep(0.01)
    await connection.send_command("PING", check_health=False)


async def close_while_sending(connection: Any) -> None:
    """Disconnect between the beginning of a command and its write: redis-py writes in a task, to limit its time."""
    sending = asyncio.create_task(connection.send_command("PING", check_health=False))
    await asyncio.sleep(0)
    await connection.disconnect(nowait=True)
    await sending


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("close", [close_before_sending, close_while_sending])
def test_a_connection_that_is_closed_before_a_command_is_sent_is_an_error_of_redis(
    redis_server: RedisServer,
    keys: Keys,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    close: Callable[[Any], Awaitable[None]],
) -> None:
    async def run() -> None:
        client = connect(redis_server.url, keys)
        connection: Any = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        with pytest.raises(NotConnected, match="closed before the command was sent"):
            await close(connection)
        await connection.disconnect()
        await client.aclose()
        await asyncio.sleep(0.01)  # for the event loop to see that sockets are closed

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
def test_every_kind_of_address_has_such_a_connection(keys: Keys, scheme: str) -> None:
    client = connect(f"{scheme}:///tmp/some.sock", keys)
    assert client.connection_pool.connection_class.__module__ == "service.store.asyncio_connections"
