"""Connections that find out where to go (:mod:`service.store.locator`), for asyncio and blocking ones."""

from __future__ import annotations

import asyncio
from typing import Any

import redis
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import MovedError, ReadOnlyError, TryAgainError

from service.store.asyncio_connections import Connection, SSLConnection
from service.store.locator import Locator

_WRONG_SERVER = (MovedError, ReadOnlyError)
"""Answers of a server that is not, or no longer, the primary of the graph. It has carried out nothing."""


def _moved(error: redis.ResponseError) -> redis.ResponseError:
    """What is raised instead: the next connection goes to the right server."""
    return TryAgainError("TRYAGAIN the primary has moved") if isinstance(error, MovedError) else error


class _Located:
    """What connections of both kinds have in common."""

    def __init__(self, *, locator: Locator, **named: Any) -> None:
        self.locator = locator
        self.moves = -1
        super().__init__(**named)

    def _forget(self: Any) -> None:
        self.locator.forget((self.host, self.port))

    def _require_right(self: Any, answer: object) -> None:
        """See that the answer to the greeting is that of the server that is looked for."""
        if not self.locator.greeting.accepts(answer):
            self._forget()
            raise NotConnected(f"{self.host}:{self.port} is not the server that is looked for")


class _Waiting(_Located):
    """Mixed into redis-py's connections for asyncio."""

    async def _connect(self: Any) -> None:
        # Those who are asked may not answer: others are served meanwhile.
        self.moves = self.locator.moves
        self.host, self.port = await asyncio.to_thread(self.locator.find)
        try:
            parent: Any = super()
            await parent._connect()
        except BaseException:
            self._forget()
            raise

    async def on_connect_check_health(self: Any, check_health: bool = True) -> None:
        """Log in, and see that this is the right server."""
        parent: Any = super()
        await parent.on_connect_check_health(check_health)
        if self.locator.greeting is not None:
            await self.send_command(*self.locator.greeting.command, check_health=False)
            self._require_right(await self.read_response())

    async def read_response(self: Any, *given: Any, **named: Any) -> Any:
        """One answer."""
        try:
            parent: Any = super()
            return await parent.read_response(*given, **named)
        except _WRONG_SERVER as error:
            self._forget()
            await self.disconnect()
            raise _moved(error) from error


class LocatedConnection(_Waiting, Connection):
    """A connection for asyncio."""


class LocatedSSLConnection(_Waiting, SSLConnection):
    """The same with TLS."""


class LocatedPool(BlockingConnectionPool):
    """A pool that gives out no connection from before the primary has moved."""

    async def ensure_connection(self, connection: Any) -> None:
        """Have the connection connected, to where the primary is now."""
        if connection.is_connected and connection.moves != connection.locator.moves:
            await connection.disconnect()
        await super().ensure_connection(connection)


class _Blocking(_Located):
    """Mixed into redis-py's blocking connections."""

    def _connect(self: Any) -> Any:
        self.host, self.port = self.locator.find()
        try:
            parent: Any = super()
            return parent._connect()
        except BaseException:
            self._forget()
            raise

    def on_connect_check_health(self: Any, check_health: bool = True) -> None:
        """Log in, and see that this is the right server."""
        parent: Any = super()
        parent.on_connect_check_health(check_health)
        if self.locator.greeting is not None:
            self.send_command(*self.locator.greeting.command, check_health=False)
            self._require_right(self.read_response())

    def read_response(self: Any, *given: Any, **named: Any) -> Any:
        """One answer."""
        try:
            parent: Any = super()
            return parent.read_response(*given, **named)
        except _WRONG_SERVER as error:
            self._forget()
            self.disconnect()
            raise _moved(error) from error


class BlockingLocatedConnection(_Blocking, redis.Connection):
    """A blocking connection."""


class BlockingLocatedSSLConnection(_Blocking, redis.SSLConnection):
    """The same with TLS."""


def is_at_primary(connection: Any) -> bool:
    """Whether a blocking connection goes to where the primary is now, as far as that is known."""
    locator: Locator | None = getattr(connection, "locator", None)
    return locator is None or locator.address is None or locator.address == (connection.host, connection.port)
