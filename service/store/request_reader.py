"""The worker's side of the requests: rows, lists and answers that readers wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec
from redis import Redis

from service.store.keys import Keys
from service.store.positions import START, parse_position

_MOST_DIGITS = 10


class AskedQuestion(NamedTuple):
    """A question as it stands in Redis: its name, and what is asked in MessagePack."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Request:
    """One entry of the requests.

    Attributes:
        number: its id, which a publication names in ``answered``.
        nodes: whose rows are wanted; none where the entry cannot be read, or wants a list.
        list_name: of the list that is wanted; None where rows are.
        whole: whether somebody waits for whole rows of the nodes.
        question: that somebody waits to have answered.
    """

    number: str
    nodes: tuple[str, ...]
    list_name: str | None = None
    whole: bool = False
    question: AskedQuestion | None = None


class RequestReader:
    """Reads requests in order, each once. Call :meth:`begin` first; the client must return bytes.

    Args:
        redis: the client; it times out later than :meth:`wait` blocks.
        keys: of the graph.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._after = START

    def begin(self) -> None:
        """Go on after the last request that an earlier worker has answered."""
        answered = cast("bytes | None", self._redis.hget(self._keys.served, "answered"))
        self._after = answered.decode() if answered is not None else START

    def read(self, most: int = 1) -> list[Request]:
        """The next requests, so many at most; empty where there are none."""
        found: Any = self._redis.xrange(self._keys.requests, min=f"({self._after}", count=most)
        requests = [
            Request(
                number.decode(),
                _nodes(fields),
                _list_name(fields),
                self._wants_whole(number, fields),
                self._question(fields),
            )
            for number, fields in found
        ]
        if requests:
            self._after = requests[-1].number
        return requests

    def wait(self, position: str, block_ms: int) -> None:
        """Return as soon as there is a log entry after a position, or a request to read, or the time is over.

        Args:
            position: of the log.
            block_ms: how long to wait in Redis, one at least.
        """
        streams: Any = {self._keys.log: position, self._keys.requests: self._after}
        self._redis.xread(streams, count=1, block=max(1, block_ms))

    def _question(self, fields: dict[bytes, bytes]) -> AskedQuestion | None:
        """The question that an entry names, if somebody still waits for its answer."""
        name = fields.get(b"question", b"").decode(errors="replace")
        content = cast("bytes | None", self._redis.get(self._keys.question(name))) if name else None
        return AskedQuestion(name, content) if content is not None else None

    def _wants_whole(self, number: bytes, fields: dict[bytes, bytes]) -> bool:
        """Whether an entry asks for whole rows, and is not older than its reader waits."""
        for_ms = fields.get(b"whole", b"")
        if not for_ms.isdigit() or len(for_ms) > _MOST_DIGITS:
            return False
        seconds, microseconds = self._redis.time()
        return 1000 * seconds + microseconds // 1000 - parse_position(number.decode())[0] <= int(for_ms)


def _nodes(fields: dict[bytes, bytes]) -> tuple[str, ...]:
    try:
        return msgspec.msgpack.decode(fields.get(b"nodes", b"\x90"), type=tuple[str, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()


def _list_name(fields: dict[bytes, bytes]) -> str | None:
    name = fields.get(b"list")
    return name.decode(errors="replace") if name is not None else None
