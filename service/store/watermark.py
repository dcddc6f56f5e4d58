"""Waiting until readers can see a position of the log."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Iterator
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from olad_core.errors import OladError
from service.shares import NoShare, Shares
from service.store.keys import Keys
from service.store.positions import PositionPair, parse_position

_POLL_S = 0.05
_RESUBSCRIBE_S = 0.5


class TooManyWaiting(OladError, RuntimeError):
    """As many wait for a position as may, or as many of one client.

    Attributes:
        own: how many of this client wait.
        used: how many wait.
        total: how many may.
        full: whether there is no place for anybody; else there is none for this client.
    """

    def __init__(self, own: int, used: int, total: int) -> None:
        super().__init__(f"{used} of {total} wait for a position already, {own} of them of this client")
        self.own, self.used, self.total = own, used, total
        self.full = used >= total


class Watermark:
    """Wakes up whoever waits for a position; one subscription serves the whole process.

    A message can be lost (publish and subscribe promise nothing), so while anybody waits the position is also read
    every 50 ms.

    Args:
        redis: where the position is read.
        keys: of the graph.
        most: how many may wait at once; None does not limit.
    """

    def __init__(self, redis: Redis, keys: Keys, most: int | None = None) -> None:
        self._places = Shares(most) if most is not None else None
        self._redis = redis
        self._keys = keys
        self._order = itertools.count()
        self._waiting: list[tuple[PositionPair, int, asyncio.Future[None]]] = []
        self._abandoned = 0
        self._anybody = asyncio.Event()

    async def run(self) -> None:
        """Follow the position until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._poll())

    @contextlib.contextmanager
    def waiter(self, position: PositionPair, client: str = "") -> Iterator[asyncio.Future[None]]:
        """A future that is done as soon as a position from this one on is seen. Read once more after entering.

        Args:
            position: to wait for.
            client: who waits; one client may have about half of the places.

        Raises:
            TooManyWaiting: as many wait as may, or this client has its share of the places.
        """
        with self._place(client):
            yield from self._wait_for(position)

    @contextlib.contextmanager
    def _place(self, client: str) -> Iterator[None]:
        with contextlib.ExitStack() as place:
            if self._places is not None:
                try:
                    place.enter_context(self._places.take(client))
                except NoShare as error:
                    raise TooManyWaiting(error.own, error.used, error.total) from None
            yield

    def _wait_for(self, position: PositionPair) -> Iterator[asyncio.Future[None]]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (position, next(self._order), future))
        self._anybody.set()
        try:
            yield future
        finally:
            future.cancel()
            if future.cancelled():
                self._abandoned += 1
                self._forget_abandoned()

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiting) - self._abandoned

    def _forget_abandoned(self) -> None:
        """Give their memory back, though the position they waited for may never come."""
        if 2 * self._abandoned > len(self._waiting):
            self._waiting = [waiting for waiting in self._waiting if not waiting[2].done()]
            heapq.heapify(self._waiting)
            self._abandoned = 0
        if not self._waiting:
            self._anybody.clear()

    def _reached(self, position: PositionPair) -> None:
        while self._waiting and self._waiting[0][0] <= position:
            future = heapq.heappop(self._waiting)[2]
            if future.done():
                self._abandoned -= 1
            else:
                future.set_result(None)
        if not self._waiting:
            self._anybody.clear()

    async def _follow(self) -> None:
        while True:
            # Redis may be away for a while; polling tells the same, and the requests themselves report the error.
            with contextlib.suppress(RedisError, OSError):
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(self._keys.watermark)
                    while True:
                        message = await channel.get_message(timeout=1.0)
                        _end_if_cancelled()
                        if message is not None and message["type"] == "message":
                            self._reached(parse_position(message["data"].decode()))
            _end_if_cancelled()
            await asyncio.sleep(_RESUBSCRIBE_S)

    async def _poll(self) -> None:
        while True:
            await self._anybody.wait()
            with contextlib.suppress(RedisError, OSError):
                position = await self._redis.hget(self._keys.served, "position")
                if position is not None:
                    self._reached(parse_position(cast("bytes", position).decode()))
            _end_if_cancelled()
            await asyncio.sleep(_POLL_S)


def _end_if_cancelled() -> None:
    """End a task whose cancellation was lost: redis-py may take it for the end of a connection.

    Raises:
        asyncio.CancelledError: the present task has been cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
