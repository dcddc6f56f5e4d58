"""redis-py's connections for asyncio, with one error for a connection that is closed while a command is sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from redis.asyncio import connection


class _Closable:
    """Mixed into redis-py's connections for asyncio.

    Writing to a connection that the other side has reset raises another error on each event loop: a ``TypeError`` on
    that of asyncio from Python 3.12 on, a ``RuntimeError`` on uvloop. Who uses Redis expects Redis' errors alone.
    """

    async def _send_packed_command(self: Any, command: Iterable[bytes]) -> None:
        # redis-py turns an OSError into its ConnectionError. Nothing runs between this check and the write.
        if self._writer is None or self._writer.transport.is_closing():
            raise ConnectionResetError("the connection was closed before the command was sent")
        parent: Any = super()
        await parent._send_packed_command(command)


class Connection(_Closable, connection.Connection):
    """A connection over TCP."""


class SSLConnection(_Closable, connection.SSLConnection):
    """The same with TLS."""


class UnixDomainSocketConnection(_Closable, connection.UnixDomainSocketConnection):
    """A connection over a socket of this machine."""


KINDS: dict[type[connection.AbstractConnection], type[connection.AbstractConnection]] = {
    connection.Connection: Connection,
    connection.SSLConnection: SSLConnection,
    connection.UnixDomainSocketConnection: UnixDomainSocketConnection,
}
"""What stands for each of redis-py's kinds."""
