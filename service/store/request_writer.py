"""The API's side of the requests: marked rows and lists that readers want, written for the worker."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
from redis.asyncio import Redis

from olad_core.events import MAX_ID_BYTES
from service.store.keys import Keys
from service.store.positions import PositionPair, parse_position

NODES_PER_ENTRY = 500
"""Nodes in one entry at most: the worker does other things between two."""
ENTRIES_KEPT = 1_000
"""With ids of the greatest length these are 128 MB; entries that are answered are deleted at once."""
_BELIEVED_S = 1.0
"""For so long a request that is not answered counts as on its way; Redis or the worker may have lost it."""


@dataclass
class _Wish:
    """What one reader wants of the next entries."""

    nodes: Sequence[str]
    written: asyncio.Future[PositionPair] = field(repr=False)


@dataclass(frozen=True)
class _Entry:
    """An entry that is written."""

    number: PositionPair
    nodes: Sequence[str]
    written_at: float


class RequestWriter:
    """Writes what readers want. Those who come at the same time share entries; a node on its way is not repeated.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._wishes: list[_Wish] = []
        self._writing: asyncio.Task[None] | None = None
        self._entries: deque[_Entry] = deque()
        self._asked: dict[str, PositionPair] = {}
        self._lists: dict[str, tuple[PositionPair, float]] = {}

    async def request(self, nodes: Sequence[str], answered: PositionPair) -> PositionPair:
        """Ask for nodes' rows. Ids that are too long for a node are left out.

        Args:
            nodes: their ids, one at least.
            answered: id of the last request that was answered when the reader found the rows marked.

        Returns:
            The id of an entry: when it is answered, so are all the nodes.

        Raises:
            RedisError: where Redis refuses, or cannot be reached.
            OSError: where it cannot be reached.
        """
        self._forget(answered)
        missing = [node for node in nodes if node not in self._asked and _may_exist(node)]
        known = max((self._asked[node] for node in nodes if node in self._asked), default=(0, 0))
        if not missing:
            return known
        wish = _Wish(missing, asyncio.get_running_loop().create_future())
        self._wishes.append(wish)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_wishes())
        return max(known, await wish.written)

    async def request_list(self, name: str, answered: PositionPair) -> PositionPair:
        """Ask for a list of nodes; the id of an entry: when it is answered, the list is there.

        Args:
            name: of the list.
            answered: id of the last request that was answered when the reader found none.

        Raises:
            RedisError: where Redis refuses, or cannot be reached.
            OSError: where it cannot be reached.
        """
        now = asyncio.get_running_loop().time()
        for other, (number, written_at) in list(self._lists.items()):
            if number <= answered or written_at < now - _BELIEVED_S:
                del self._lists[other]
        if name in self._lists:
            return self._lists[name][0]
        written = await self._redis.xadd(
            self._keys.requests, {"list": name.encode()}, maxlen=ENTRIES_KEPT, approximate=True
        )
        number = parse_position(cast("bytes", written).decode())
        self._lists[name] = number, now
        return number

    def _forget(self, answered: PositionPair) -> None:
        """Ask anew for what was answered, and for what was asked for too long ago."""
        oldest = asyncio.get_running_loop().time() - _BELIEVED_S
        while self._entries and (self._entries[0].number <= answered or self._entries[0].written_at < oldest):
            entry = self._entries.popleft()
            for node in entry.nodes:
                if self._asked.get(node) == entry.number:
                    del self._asked[node]

    async def _write_wishes(self) -> None:
        while self._wishes:
            taken, self._wishes = self._wishes, []
            try:
                await self._write(list(_entries([wish.nodes for wish in taken])))
                for wish in taken:
                    if not wish.written.done():
                        wish.written.set_result(max(self._asked[node] for node in wish.nodes))
            except Exception as error:
                for wish in taken:
                    if not wish.written.done():
                        wish.written.set_exception(error)

    async def _write(self, entries: Sequence[Sequence[str]]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for nodes in entries:
            pipe.xadd(
                self._keys.requests, {"nodes": msgspec.msgpack.encode(nodes)}, maxlen=ENTRIES_KEPT, approximate=True
            )
        now = asyncio.get_running_loop().time()
        numbers = cast("list[bytes]", await pipe.execute())
        for number, nodes in zip(numbers, entries, strict=True):
            entry = _Entry(parse_position(number.decode()), nodes, now)
            self._entries.append(entry)
            self._asked.update(dict.fromkeys(nodes, entry.number))


def _may_exist(node: str) -> bool:
    """Whether an id is short enough for a node: what nobody can answer takes no memory."""
    return len(node) <= MAX_ID_BYTES and len(node.encode(errors="replace")) <= MAX_ID_BYTES


def _entries(wishes: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """All nodes, each once, in entries of so many; those of short wishes first.

    >>> list(_entries([["b", "c"], ["a"], ["c"]]))
    [['a', 'c', 'b']]
    """
    nodes = list(dict.fromkeys(node for wish in sorted(wishes, key=len) for node in wish))
    for first in range(0, len(nodes), NODES_PER_ENTRY):
        yield nodes[first : first + NODES_PER_ENTRY]
