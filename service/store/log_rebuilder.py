"""Making a log anew beside the one that is there, and putting it in its place in one step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redis import Redis

from olad_core.schema import HeldSchema
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.past_rows import drop_past
from service.store.positions import START, parse_position
from service.store.raw_log import RawEntry, RawLog
from service.store.schema import dump_schema
from service.store.scripts import script


class LogRebuilder:
    """Until :meth:`swap` nobody sees what is made, and an attempt that ended midway is begun again.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        raw: the log that is there.
    """

    def __init__(self, redis: Redis, keys: Keys, raw: RawLog) -> None:
        self._redis = redis
        self._keys = keys
        self._raw = raw
        self._reader = LogReader(redis, keys)
        self._swap = redis.register_script(script("swap_log"))

    def clear(self) -> None:
        """Delete what was made."""
        self._redis.delete(self._keys.rebuilding)

    def add(self, entries: Iterable[RawEntry]) -> None:
        """Append entries at the positions that they have."""
        pipeline: Any = self._redis.pipeline(transaction=False)
        with pipeline as pipe:
            for position, fields in entries:
                pipe.execute_command("XADD", self._keys.rebuilding, position, *fields)
            pipe.execute()

    def last(self) -> str:
        """The last position that the log which is there has given out."""
        return self._reader.last() or START

    def rest(self, after: str, up_to: str) -> list[RawEntry]:
        """The next entries of the log that is there."""
        return self._raw.read(after, up_to)

    def is_seen_beyond(self, position: str) -> bool:
        """Whether readers have seen a later position."""
        seen: Any = self._redis.hget(self._keys.served, "position")
        return seen is not None and parse_position(seen.decode()) > parse_position(position)

    def swap(
        self,
        copied_to: str,
        last: str,
        events: int,
        schema: HeldSchema,
        classes: Sequence[str],
        skipped: Mapping[str, str],
        left_out: Sequence[str],
    ) -> bool:
        """Put the new log in the place of the one that is there.

        Args:
            copied_to: position up to which that one was copied.
            last: last position of the new log.
            events: how many events it holds.
            schema: the schema after it.
            classes: that its labels name.
            skipped: its entries that cannot be applied, each with the reason.
            left_out: ranges of positions that it is without.

        Returns:
            Whether it was done; False where the one that is there has got further entries.
        """
        keys = self._keys
        names = [keys.log, keys.rebuilding, keys.trimmed, keys.appended, keys.schema, keys.classes, keys.skipped]
        names += [keys.left_out, keys.log_id, keys.admitted, keys.starts, keys.served, keys.rejected, keys.champion]
        begins_again = self.is_seen_beyond(last)
        if begins_again:
            drop_past(self._redis, keys)
        args: list[str | bytes | int] = [copied_to, events, dump_schema(schema), int(begins_again)]
        args += [len(left_out), len(skipped), *left_out]
        args += [text for pair in skipped.items() for text in pair]
        return bool(self._swap(keys=names, args=[*args, *classes]))
