"""Waiting until readers can see a position of the log, or the answer to a request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from redis.asyncio import Redis
from redis.exceptions import RedisError

from olad_core.errors import OladError
from service.shares import NoShare, Shares
from service.store.cancellation import end_if_cancelled
from service.store.champion import champion_of
from service.store.keys import Keys
from service.store.positions import START, PositionPair, parse_position
from service.store.presence import ask, is_there
from service.store.waiters import Waiters

_POLL_S = 0.05
_RESUBSCRIBE_S = 0.5


class TooManyWaiting(OladError, RuntimeError):
    """As many wait as may, or as many of one client.

    Attributes:
        own: how many of this client wait.
        used: how many wait.
        total: how many may.
        full: whether there is no place for anybody; else there is none for this client.
    """

    def __init__(self, own: int, used: int, total: int) -> None:
        super().__init__(f"{used} of {total} wait already, {own} of them of this client")
        self.own, self.used, self.total = own, used, total
        self.full = used >= total


class Watermark:
    """Wakes up whoever waits for a position or for an answer; one subscription serves the whole process.

    A message can be lost (publish and subscribe promise nothing), so while anybody waits both are also read
    every 50 ms, and whether the worker is there: else nobody waits for an answer any longer.

    Args:
        redis: where both are read.
        keys: of the graph.
        most: how many may wait at once; None does not limit.
        as_champion: whether nobody waits any longer once another variant is the champion.
    """

    def __init__(self, redis: Redis, keys: Keys, most: int | None = None, *, as_champion: bool = False) -> None:
        self._as_champion = as_champion
        self._places = Shares(most) if most is not None else None
        self._redis = redis
        self._keys = keys
        self._anybody = asyncio.Event()
        self._positions = Waiters(self._anybody)
        self._answers = Waiters(self._anybody)
        self._answered = parse_position(START)

    async def run(self) -> None:
        """Follow both until cancelled."""
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
        with self._place(client), self._positions.waiter(position) as seen:
            yield seen

    @contextlib.contextmanager
    def answer_waiter(self, request: PositionPair, client: str = "") -> Iterator[asyncio.Future[None]]:
        """A future that is done as soon as readers see a request's answer, even if that was before entering.

        It is also done where the worker has gone away: see in Redis what became of the request.

        Args:
            request: its id.
            client: who waits; one client may have about half of the places.

        Raises:
            TooManyWaiting: as many wait as may, or this client has its share of the places.
        """
        with self._place(client), self._answers.waiter(request) as answered:
            self._answers.reached(self._answered)
            yield answered

    @contextlib.contextmanager
    def _place(self, client: str) -> Iterator[None]:
        with contextlib.ExitStack() as place:
            if self._places is not None:
                try:
                    place.enter_context(self._places.take(client))
                except NoShare as error:
                    raise TooManyWaiting(error.own, error.used, error.total) from None
            yield

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._positions) + len(self._answers)

    @property
    def kept(self) -> int:
        """How many waits have their memory here, given up or not."""
        return self._positions.kept + self._answers.kept

    def _see_answered(self, request: PositionPair) -> None:
        self._answered = request
        self._answers.reached(request)

    async def _follow(self) -> None:
        follow = {self._keys.watermark: self._positions.reached, self._keys.answered: self._see_answered}
        while True:
            # Redis may be away for a while; polling finds the same, and the requests themselves report the error.
            with contextlib.suppress(RedisError, OSError):
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(*follow)
                    while True:
                        message = await channel.get_message(timeout=1.0)
                        end_if_cancelled()
                        if message is not None and message["type"] == "message":
                            follow[message["channel"].decode()](parse_position(message["data"].decode()))
            end_if_cancelled()
            await asyncio.sleep(_RESUBSCRIBE_S)

    async def _poll(self) -> None:
        while True:
            await self._anybody.wait()
            with contextlib.suppress(RedisError, OSError):
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.hmget(self._keys.served, ["position", "answered"])
                    pipe.get(self._keys.champion)
                    ask(pipe, self._keys)
                    (position, answered), champion, heartbeat, subscribers = await pipe.execute()
                if position is not None:
                    self._positions.reached(parse_position(position.decode()))
                if answered is not None:
                    self._see_answered(parse_position(answered.decode()))
                if not is_there(heartbeat, subscribers):
                    self._answers.give_up()
                if self._as_champion and champion_of(champion) != self._keys.variant:
                    # They read what became of it, and go on with the champion.
                    self._positions.give_up()
                    self._answers.give_up()
            end_if_cancelled()
            if not self.waiting:
                self._anybody.clear()
            await asyncio.sleep(_POLL_S)
