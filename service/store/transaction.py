"""A transaction in Redis that takes two round trips, and commands that are bytes already."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from redis import Redis
from redis.exceptions import ResponseError, WatchError

Argument: TypeAlias = str | bytes | int
Command: TypeAlias = Sequence[Argument]


class Transaction:
    """Commands that are carried out together or not at all; see :func:`transaction`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._packed: list[bytes] = []
        self._count = 0

    def add(self, *command: Argument) -> None:
        """One more command."""
        self._packed.extend(self._connection.pack_command(*command))
        self._count += 1

    def add_packed(self, command: bytes) -> None:
        """One more command, in Redis' wire format."""
        self._packed.append(command)
        self._count += 1

    def run(self) -> list[Any]:
        """Carry them out; the answers.

        Raises:
            WatchError: another client has changed what was watched; nothing was done.
            ResponseError: Redis has refused a command; only where that came to light while it was carried out were
                the others done.
        """
        connection = self._connection
        begin, end = connection.pack_command("MULTI"), connection.pack_command("EXEC")
        # In one piece: each sent alone is a system call here and one more turn of Redis' loop.
        connection.send_packed_command([b"".join([*begin, *self._packed, *end])])
        for _ in range(1 + self._count):
            connection.read_response()
        done = connection.read_response()
        if done is None:
            raise WatchError("what was watched has changed")
        for answer in done:
            if isinstance(answer, ResponseError):
                raise answer
        return list(done)


@contextlib.contextmanager
def transaction(
    redis: Redis, watch: Sequence[str], reads: Sequence[Command]
) -> Iterator[tuple[list[Any], Transaction]]:
    """Watch keys, read, and hand out a transaction that is carried out only if the keys have not changed since.

    Watching and reading are sent together, and so are all commands of the transaction. Nothing is ever sent twice.

    Args:
        redis: client that returns bytes.
        watch: keys.
        reads: commands, carried out after the keys are watched.

    Yields:
        The answers to the reads, and the transaction.
    """
    pool = redis.connection_pool
    connection: Any = pool.get_connection()
    try:
        connection.send_packed_command(connection.pack_commands([("WATCH", *watch), *reads]))
        connection.read_response()
        answers = [connection.read_response() for _ in reads]
        begun = Transaction(connection)
        yield answers, begun
    except BaseException:
        # Answers may still be on their way, and keys watched.
        connection.disconnect()
        raise
    finally:
        pool.release(connection)
