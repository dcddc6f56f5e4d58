"""The log as it stands in Redis, entry by entry, for the archive: nothing is decoded."""

from __future__ import annotations

from typing import Any, TypeAlias

from redis import Redis

from service.store.fence import Fence
from service.store.keys import Keys
from service.store.positions import START, parse_position
from service.store.scripts import script

RawEntry: TypeAlias = tuple[bytes, list[bytes]]
"""Position of an entry, and its fields and their values in turn, as Redis has them."""

_BYTES_PER_READ = 1_000_000
"""What is read at once, but for a single entry that is larger: Redis answers nobody meanwhile."""


class RawLog:
    """Reads the log of one graph.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        fence: of the worker's start.
    """

    def __init__(self, redis: Redis, keys: Keys, fence: Fence) -> None:
        self._redis = redis
        self._keys = keys
        self._fence = fence
        self._read = redis.register_script(script("read_log"))

    def read(self, after: str, up_to: str) -> list[RawEntry]:
        """The next entries after a position, as many as hold a megabyte, but none after ``up_to``."""
        found = self._read(keys=[self._keys.log], args=[after, 10**9, _BYTES_PER_READ])
        end = parse_position(up_to)
        return [(position, fields) for position, fields in found if parse_position(position.decode()) <= end]

    def trimmed(self) -> str:
        """Position up to which the log has been trimmed."""
        found: Any = self._redis.get(self._keys.trimmed)
        return found.decode() if found is not None else START

    def holds(self, position: str) -> bool:
        """Whether there is an entry at a position."""
        found: Any = self._redis.xrange(self._keys.log, position, position, count=1)
        return bool(found)

    def skipped(self) -> dict[str, str]:
        """Positions of the entries that cannot be applied, each with the reason."""
        found: Any = self._redis.hgetall(self._keys.skipped)
        return {position.decode(): reason.decode() for position, reason in found.items()}

    def left_out(self) -> list[str]:
        """Ranges of positions that a rebuilt log is without."""
        found: Any = self._redis.smembers(self._keys.left_out)
        return sorted(name.decode() for name in found)

    def is_newest(self) -> bool:
        """Whether no later worker has started; what is written elsewhere than in Redis asks before it writes."""
        found: Any = self._redis.get(self._keys.starts)
        return self._fence.start is None or int(found or 0) == self._fence.start
