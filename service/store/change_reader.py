"""The API's side of the changes: one read of Redis for all who follow them in a process.

A follower has no buffer of its own. It takes pages after the change that it had last: from the newest changes, which
the process holds once, or from Redis where it is further behind.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from olad_core.errors import OladError
from service.shares import Shares
from service.store.cancellation import end_if_cancelled
from service.store.changes import PREFIX, change_id
from service.store.keys import Keys
from service.store.positions import START, PositionPair, parse_position, position_text

Entries: TypeAlias = list[tuple[bytes, dict[bytes, Any]]]
PAGE = 200
"""Changes that a follower takes at once."""
_HELD = 2_000
_BLOCK_MS = 1_000
_AGAIN_S = 0.5


class _Data(msgspec.Struct):
    label: str | None = None
    before: str | None = None
    kind: str | None = None


class _Event(msgspec.Struct):
    type: str
    data: _Data
    subject: str | None = None


@dataclass(frozen=True)
class Recorded:
    """A change as it stands in Redis.

    Attributes:
        at: its id there.
        previous: id of the change before it.
        event: the CloudEvent, JSON.
        type: of the change.
        node: that it is about; None where it is about the graph.
        labels: the classes before and after.
        kind: of a decision; None for another change.
    """

    at: PositionPair
    previous: PositionPair
    event: bytes
    type: str
    node: str | None
    labels: tuple[str | None, str | None]
    kind: str | None

    @property
    def id(self) -> str:
        """The id that readers see."""
        return change_id(self.at)


class ChangesMissing(OladError, LookupError):
    """Changes after the one that a reader had last are not kept any more.

    Attributes:
        oldest: id of the oldest one that is kept.
    """

    def __init__(self, oldest: str) -> None:
        super().__init__(f"changes before {oldest} are not kept any more")
        self.oldest = oldest


class ChangeReader:
    """Reads the changes of one graph.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        most: followers that there may be at once.
    """

    def __init__(self, redis: Redis, keys: Keys, most: int) -> None:
        self._redis = redis
        self._keys = keys
        self._places = Shares(most)
        self._held: deque[Recorded] = deque(maxlen=_HELD)
        self._last: PositionPair | None = None
        self._signal = asyncio.Event()
        self._anybody = asyncio.Event()
        self._ended = False
        self.beginning = 0
        """Counts how often those who followed had to begin anew."""

    @property
    def followers(self) -> int:
        """How many there are now."""
        return self._places.used

    async def run(self) -> None:
        """Read what comes while anybody follows, until cancelled."""
        while True:
            await self._anybody.wait()
            if not self.followers:
                self._anybody.clear()
                self._forget()
                continue
            try:
                await self._read_next()
            except (RedisError, OSError):
                # Followers read for themselves what came meanwhile.
                self._forget()
                await asyncio.sleep(_AGAIN_S)
            end_if_cancelled()

    def end(self) -> None:
        """Let all followers end: the process stops."""
        self._ended = True
        self._wake()

    def begin_anew(self) -> None:
        """Let all followers begin anew: another variant is the champion, whose predictions are others."""
        self.beginning += 1
        self._wake()

    @contextlib.contextmanager
    def place(self, client: str) -> Iterator[None]:
        """A place among the followers.

        Raises:
            NoShare: there is none, or this client has its share of them.
        """
        with self._places.take(client):
            self._anybody.set()
            yield

    async def newest(self) -> PositionPair:
        """The id of the newest change; the one before all where there is none."""
        found = cast("Entries", await self._redis.xrevrange(self._keys.changes, count=1))
        return parse_position(found[0][0].decode()) if found else parse_position(START)

    async def page(self, after: PositionPair) -> Sequence[Recorded]:
        """The next changes after one; none where it is the newest.

        Raises:
            ChangesMissing: those next to it are not kept any more.
        """
        held = self._held
        if held and held[0].previous <= after:
            return [change for change in held if change.at > after][:PAGE]
        first = f"({position_text(after)}"
        found = cast("Entries", await self._redis.xrange(self._keys.changes, min=first, count=PAGE))
        page = [_decode(*entry) for entry in found]
        if page and page[0].previous > after:
            raise ChangesMissing(page[0].id)
        return page

    async def wait(self, after: PositionPair, seconds: float) -> bool:
        """Wait for a change after one, for so long at most; False where the process stops."""
        signal = self._signal
        if not self._ended and not (self._last is not None and self._last > after):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await signal.wait()
        return not self._ended

    def _wake(self) -> None:
        signal, self._signal = self._signal, asyncio.Event()
        signal.set()

    def _forget(self) -> None:
        self._held.clear()
        self._last = None

    async def _read_next(self) -> None:
        if self._last is None:
            self._last = await self.newest()
            self._wake()
        after = position_text(self._last)
        read = await self._redis.xread({self._keys.changes: after}, count=_HELD, block=_BLOCK_MS)
        answer = cast("list[tuple[bytes, Entries]]", read)
        found = [_decode(*entry) for entry in answer[0][1]] if answer else []
        if found:
            if found[0].previous != self._last:
                # Some were trimmed before they were read.
                self._held.clear()
            self._held.extend(found)
            self._last = found[-1].at
            self._wake()


def _decode(at: bytes, fields: dict[bytes, Any]) -> Recorded:
    event = msgspec.json.decode(fields[b"event"], type=_Event)
    return Recorded(
        parse_position(at.decode()),
        parse_position(fields[b"previous"].decode()),
        fields[b"event"],
        event.type.removeprefix(PREFIX),
        event.subject,
        (event.data.before, event.data.label),
        event.data.kind,
    )
