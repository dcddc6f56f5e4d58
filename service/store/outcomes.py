"""How what a variant served has scored: a ring of records in one string, which the API compares with other variants'.

The records are those of :data:`olad_core.judging.served_outcomes.RECORD`, as bytes one after the other. Record number
n, counted from 0, stands in place n modulo :data:`OUTCOMES_KEPT`. A release with other records takes another key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from redis.asyncio import Redis

from olad_core.judging.served_outcomes import NO_RECORDS, OUTCOMES_KEPT, RECORD, Records
from service.store.keys import Keys
from service.store.transaction import Command, Transaction


def outcome_reads(keys: Keys, records: Records) -> tuple[Command, ...]:
    """What must be read before records are added; nothing where there are none."""
    return (("HLEN", keys.needed), ("GET", keys.outcomes_written)) if len(records) else ()


def add_outcomes(pending: Transaction, keys: Keys, records: Records, answers: Sequence[Any]) -> None:
    """Add records to the ring of a variant, where there is another variant to compare it with.

    Args:
        pending: the transaction.
        keys: of the variant.
        records: the newest last, :data:`OUTCOMES_KEPT` at most.
        answers: to :func:`outcome_reads`.
    """
    if not answers or answers[0] < 2:
        return
    written = int(answers[1] or 0)
    for place, part in _runs(written % OUTCOMES_KEPT, records):
        pending.add("SETRANGE", keys.outcomes, place * RECORD.itemsize, part.tobytes())
    pending.add("SET", keys.outcomes_written, written + len(records))


def _runs(first: int, records: Records) -> Iterator[tuple[int, Records]]:
    """Places in the ring and the records from there on, beginning at a place."""
    fit = OUTCOMES_KEPT - first
    yield first, records[:fit]
    if len(records) > fit:
        yield 0, records[fit:]


RingState: TypeAlias = tuple[bytes | None, bytes | None]
"""Number of the worker's start, and of its records."""


class OutcomeReader:
    """The API's side.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def states(self, variants: Sequence[str]) -> dict[str, RingState]:
        """By variant, of which there is one at least, what is another value once its records are others."""
        names = [name for each in map(self._keys.of, variants) for name in (each.starts, each.outcomes_written)]
        found = cast("list[bytes | None]", await self._redis.mget(names))
        return dict(zip(variants, zip(found[::2], found[1::2], strict=True), strict=True))

    async def read(self, variant: str) -> Records:
        """The records of a variant, the oldest first."""
        keys = self._keys.of(variant)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.outcomes_written)
            pipe.get(keys.outcomes)
            written, ring = await pipe.execute()
        if not written or not ring:
            return NO_RECORDS
        records = np.frombuffer(ring, dtype=RECORD)
        return np.roll(records, -(int(written) % OUTCOMES_KEPT)) if len(records) == OUTCOMES_KEPT else records
