"""Events that were accepted but could not be applied: a bounded stream, written by the worker, paged by the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from olad_core.serving.publication import RejectedEvent
from service.store.keys import Keys
from service.store.positions import parse_position
from service.store.status import WorkerStatus, read_report
from service.store.transaction import Transaction

REJECTED_KEPT = 100_000
"""Rejected events that are kept, about."""


def add_rejected(pending: Transaction, keys: Keys, rejected: Sequence[RejectedEvent], after: str) -> None:
    """Write the rejected events of entries after a position; those before it are written already."""
    written = parse_position(after)
    for event in rejected:
        if parse_position(event.position) > written:
            fields = ("position", event.position, "index", event.index, "op", event.op)
            why = ("reason", event.reason, "detail", event.detail)
            whole = ("content", event.content) if event.content else ()
            pending.add("XADD", keys.rejected, "MAXLEN", "~", REJECTED_KEPT, "*", *fields, *why, *whole)


@dataclass(frozen=True)
class RejectedPage:
    """Some of the rejected events, newest first.

    Attributes:
        events: the fields of each, as they were written.
        next: where the next page begins; None on the last one.
        total: events that are kept.
        oldest: position of the oldest one that is kept; None where none is.
        worker: the worker's report of the same moment; None before the first.
    """

    events: Sequence[dict[str, str]]
    next: str | None
    total: int
    oldest: str | None
    worker: WorkerStatus | None


class RejectedReader:
    """The API's side.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def page(self, limit: int, after: str | None = None) -> RejectedPage:
        """One page.

        Args:
            limit: events in it at most.
            after: ``next`` of the page before; None for the first.
        """
        keys = self._keys
        newest = f"({after}" if after is not None else "+"
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xrevrange(keys.rejected, max=newest, count=limit + 1)
            pipe.xlen(keys.rejected)
            pipe.xrange(keys.rejected, count=1)
            pipe.get(keys.status)
            found, total, oldest, report = await pipe.execute()
        page: list[tuple[bytes, dict[bytes, bytes]]] = found[:limit]
        return RejectedPage(
            events=[{name.decode(): value.decode() for name, value in fields.items()} for _, fields in page],
            next=page[-1][0].decode() if len(found) > limit else None,
            total=total,
            oldest=oldest[0][1][b"position"].decode() if oldest else None,
            worker=read_report(report),
        )
