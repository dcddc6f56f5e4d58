"""The ring of records that stands in Redis for each variant."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import redis
from redis.asyncio import Redis as AsyncRedis

from olad_core.judging.served_outcomes import OUTCOMES_KEPT, RECORD, Records
from service.store.fence import Superseded
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.outcomes import OutcomeReader
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.publications import worker_status


def numbered(first: int, count: int) -> Records:
    records = np.zeros(count, dtype=RECORD)
    records["arrival"], records["loss"] = np.arange(first, first + count), 0.5
    return records


def started(client: redis.Redis, keys: Keys) -> PredictionWriter:
    LogReader(client, keys).hold()
    writer = PredictionWriter(client, keys)
    writer.start()
    return writer


def stored(server: RedisServer, keys: Keys, variant: str = "default") -> list[int]:
    async def read() -> list[int]:
        client = AsyncRedis.from_url(server.url)
        try:
            arrivals: list[int] = (await OutcomeReader(client, keys).read(variant))["arrival"].tolist()
            return arrivals
        finally:
            await client.aclose()

    return asyncio.run(read())


def test_nothing_is_stored_of_a_variant_that_is_alone(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys
) -> None:
    default = started(redis_client, keys)
    default.write_status(worker_status(), b"", numbered(0, 10))
    assert not redis_client.exists(keys.outcomes, keys.outcomes_written)
    assert stored(redis_server, keys) == []
    started(redis_client, keys.of("wide"))
    default.write_status(worker_status(), b"", numbered(10, 5))
    assert stored(redis_server, keys) == [10, 11, 12, 13, 14]


def test_the_newest_records_are_read_in_their_order(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys
) -> None:
    started(redis_client, keys)
    wide, written = started(redis_client, keys.of("wide")), 0
    for count in (1, 4_999, 4_000, 999, 1, 7, 9_995, OUTCOMES_KEPT, 3):
        wide.write_status(worker_status(), b"", numbered(written, count))
        written += count
        assert stored(redis_server, keys, "wide") == [*range(max(0, written - OUTCOMES_KEPT), written)]
    assert redis_client.strlen(keys.of("wide").outcomes) == OUTCOMES_KEPT * RECORD.itemsize
    # A worker that starts again goes on where the one before has ended.
    again = started(redis_client, keys.of("wide"))
    again.write_status(worker_status(), b"", numbered(written, 2))
    assert stored(redis_server, keys, "wide")[-3:] == [written - 1, written, written + 1]
    with pytest.raises(Superseded):
        wide.write_status(worker_status(), b"", numbered(0, 1))
    again.forget_outcomes()
    assert stored(redis_server, keys, "wide") == []
