"""Both clients behind one face, so that each test is of both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from typing import Any, cast

import pytest

from service.client import AsyncClient, Client

Connect = Callable[..., Client]
"""Makes a client of an address and the arguments of :class:`Client`."""


class Blocking:
    """An asynchronous client whose methods are waited for."""

    def __init__(self, runner: asyncio.Runner, client: AsyncClient) -> None:
        self._runner, self._client = runner, client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if inspect.isasyncgenfunction(found):
            return lambda *args, **given: self._each(found(*args, **given))
        if not inspect.iscoroutinefunction(found):
            return found
        return lambda *args, **given: self._runner.run(found(*args, **given))

    def _each(self, steps: AsyncGenerator[Any, None]) -> Generator[Any, None, None]:
        """What an asynchronous generator gives, in steps that are waited for."""
        try:
            while True:
                try:
                    yield self._runner.run(_awaited(anext(steps)))
                except StopAsyncIteration:
                    return
        finally:
            self._runner.run(_awaited(steps.aclose()))


async def _awaited(step: Awaitable[Any]) -> Any:
    return await step


@pytest.fixture(params=["blocking", "asynchronous"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    made: list[Client] = []
    with asyncio.Runner() as runner:

        def connected(url: str, **given: Any) -> Client:
            asynchronous = request.param == "asynchronous"
            client = (
                cast("Client", Blocking(runner, AsyncClient(url, **given))) if asynchronous else Client(url, **given)
            )
            made.append(client)
            return client

        yield connected
        for client in made:
            client.close()
