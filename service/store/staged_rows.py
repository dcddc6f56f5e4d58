"""Rows of predictions that the ranks of a partitioned worker write, each its own.

Rows of a table that readers see are staged: each rank leaves them under a key of its own. The transaction that moves
the position takes them into the table. So readers see all of them or none. Rows of a table that readers do not see yet
are written at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from redis import Redis

from olad_core.serving.publication import TableUpdate
from service.store.bulk_hset import hset_commands
from service.store.fence import Fence, PublicationsLost
from service.store.keys import Keys
from service.store.positions import parse_position
from service.store.rows import encode_rows
from service.store.scripts import script
from service.store.transaction import Command, Transaction


class RankRows:
    """A rank's side of the predictions. The client must return bytes.

    Args:
        redis: the client.
        keys: of the graph.
        rank: whose rows they are.
        start: number of the worker's start, which the first rank has taken. Once another one has begun, all writes are
            refused (:class:`~service.store.fence.Superseded`).
    """

    def __init__(self, redis: Redis, keys: Keys, rank: int, start: int) -> None:
        self._keys = keys
        self._rank = rank
        self._fence = Fence(redis, keys)
        self._fence.start = start

    def fill(self, table: str, update: TableUpdate, position: str, applied_events: int) -> None:
        """Write rows of a table that readers do not see, and delete those of nodes that have left.

        Args:
            table: its name.
            update: the rows, some thousands at most.
            position: at which they are exact.
            applied_events: number of events up to there.
        """
        rows = encode_rows(update, parse_position(position), applied_events)
        with self._fence.transaction() as (_, pending):
            pending.add("SADD", self._keys.tables, table)
            for command in hset_commands(self._keys.predictions(table), update.nodes, rows):
                pending.add_packed(command)
            if update.removed:
                pending.add("HDEL", self._keys.predictions(table), *update.removed)
            pending.run()

    def stage(self, update: TableUpdate, position: str, applied_events: int) -> str:
        """Stage rows of the served table for the publication of a position; the key, for that publication.

        What was staged before is replaced.
        """
        rows = encode_rows(update, parse_position(position), applied_events)
        key = self._keys.staged(self._rank)
        with self._fence.transaction() as (_, pending):
            pending.add("HSET", key, "at", _mark(self._fence.start, position))
            pending.add("HSET", key, "nodes", msgspec.msgpack.encode((update.nodes, update.removed)))
            pending.add("HSET", key, "rows", rows.tobytes())
            pending.run()
        return key


def staged_reads(keys: Sequence[str]) -> list[Command]:
    """What a publication reads of staged rows before it takes them; the answers are for :func:`require_staged`."""
    return [("HGET", key, "at") for key in keys]


def require_staged(found: Sequence[bytes | None], start: int | None, position: str) -> None:
    """See that rows are those of this start and position.

    Raises:
        PublicationsLost: Redis has lost some.
    """
    expected = _mark(start, position).encode()
    if any(each != expected for each in found):
        raise PublicationsLost(f"Redis does not have the rows that ranks have staged for position {position}")


def take_staged(pending: Transaction, table: str, keys: Sequence[str]) -> None:
    """Put staged rows into a table, as a part of a transaction that watches their keys.

    Args:
        pending: the transaction.
        table: key of the table.
        keys: of the staged rows.
    """
    pending.add("EVAL", script("take_staged"), 1 + len(keys), table, *keys)


def _mark(start: int | None, position: str) -> str:
    return f"{start} {position}"
