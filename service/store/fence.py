"""What only the newest worker of a graph may write, and how an earlier one is kept from it.

Every start of a worker takes the next number of the counter ``starts``: its fencing token. All that a worker writes
goes through a transaction that watches the counter, so Redis refuses it once a later start has begun, however long
the worker was stopped or cut off in between.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from redis import Redis
from redis.exceptions import WatchError

from olad_core.errors import OladError
from service.store.keys import Keys
from service.store.transaction import Command, Transaction, transaction


class LogLost(OladError, RuntimeError):
    """The log does not go on from the state the worker has."""


class PublicationsLost(OladError, RuntimeError):
    """Redis has lost what this start of the worker has published: a failover, or a restart without its last second."""


class Superseded(OladError, RuntimeError):
    """Another worker has started on this graph: this one must write no more."""


class Fence:
    """Transactions that only the newest start may carry out.

    Before :meth:`begin` nothing is refused: what repairs a graph by hand is no worker.

    Attributes:
        start: number of this start; None before the first.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self.start: int | None = None

    def begin(self) -> int:
        """Begin a new start; the number. Earlier ones are refused from now on."""
        self.start = int(self._redis.incr(self._keys.starts))
        return self.start

    @contextlib.contextmanager
    def transaction(
        self, watch: Sequence[str] = (), reads: Sequence[Command] = ()
    ) -> Iterator[tuple[list[Any], Transaction]]:
        """Watch keys, read, and hand out a transaction that is run by whoever takes it.

        Yields:
            The answers to the reads, and the transaction.

        Raises:
            Superseded: where another worker has started, or has written what was watched.
            LogLost: where Redis has lost this start.
        """
        keys = self._keys
        watched, asked = (keys.starts, *watch), (("GET", keys.starts), *reads)
        with transaction(self._redis, watched, asked) as ((found, *answers), pending):
            self._require_newest(found)
            try:
                yield answers, pending
            except WatchError:
                self._require_newest(self._redis.get(keys.starts))
                raise Superseded(f"another worker wrote on graph {keys.graph!r} at the same time") from None

    def _require_newest(self, found: Any) -> None:
        """Refuse to go on where a start is not the newest of those that were found."""
        if self.start is None:
            return
        newest = int(found or 0)
        if newest < self.start:
            raise LogLost(f"Redis knows of {newest} worker starts, this is number {self.start}")
        if newest != self.start:
            raise Superseded(f"worker start {self.start} is no longer the newest on graph {self._keys.graph!r}")
