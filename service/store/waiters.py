"""Who waits for which id of a stream: futures in the order of the ids."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Iterator

from service.store.positions import PositionPair


class Waiters:
    """Futures, each done as soon as an id from its own on is reached.

    Args:
        anybody: set whenever somebody begins to wait.
    """

    def __init__(self, anybody: asyncio.Event) -> None:
        self._anybody = anybody
        self._order = itertools.count()
        self._heap: list[tuple[PositionPair, int, asyncio.Future[None]]] = []
        self._abandoned = 0

    def __len__(self) -> int:
        """How many wait now."""
        return len(self._heap) - self._abandoned

    @property
    def kept(self) -> int:
        """How many have their memory here: those who wait, and at most as many who have given up."""
        return len(self._heap)

    @contextlib.contextmanager
    def waiter(self, wanted: PositionPair) -> Iterator[asyncio.Future[None]]:
        """A future that is done as soon as an id from this one on is reached; given up at the end."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, (wanted, next(self._order), future))
        self._anybody.set()
        try:
            yield future
        finally:
            future.cancel()
            if future.cancelled():
                self._abandoned += 1
                self._forget_abandoned()

    def reached(self, found: PositionPair) -> None:
        """Wake up all who wait for an id up to this one."""
        while self._heap and self._heap[0][0] <= found:
            future = heapq.heappop(self._heap)[2]
            if future.done():
                self._abandoned -= 1
            else:
                future.set_result(None)

    def give_up(self) -> None:
        """Wake up all who wait."""
        for _, _, future in self._heap:
            if not future.done():
                future.set_result(None)
        self._heap, self._abandoned = [], 0

    def _forget_abandoned(self) -> None:
        """Give their memory back, though the id they waited for may never come."""
        if 2 * self._abandoned > len(self._heap):
            self._heap = [waiting for waiting in self._heap if not waiting[2].done()]
            heapq.heapify(self._heap)
            self._abandoned = 0
