"""A Redis that has lost publications, as after a failover: a running worker publishes everything again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from olad_core.events import RemoveNode
from service.store.keys import Keys
from tests.chaos.workers import ForkedWorker, Nursery, until
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries


def test_rows_that_were_lost_are_there_again(
    redis_server: RedisServer, redis_client: redis.Redis, nursery: Nursery, keys: Keys, tmp_path: Path
) -> None:
    entries = random_entries(9, seed=6)
    worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path, checkpoint_interval_s=3600)
    try:
        worker.start()
        append(redis_client, keys, entries[:4])
        worker.wait_until_visible(redis_client, "4-0")
        until(lambda: redis_client.hexists(keys.served, "table"))
        before = dumps(redis_client, keys)
        append(redis_client, keys, entries[4:8], first=5)
        worker.wait_until_visible(redis_client, "8-0")
        for key, value in before.items():
            redis_client.restore(key, 0, value, replace=True)
        append(redis_client, keys, entries[8:], first=9)
        worker.wait_until_visible(redis_client, "9-0")
        assert worker.logged("publishing everything again")
        # A node of each of the entries is there, but for those that were removed.
        nodes = [str(4 * number) for number in range(9)]
        table: Any = redis_client.hget(keys.served, "table")
        rows: Any = redis_client.hmget(keys.predictions(table.decode()), nodes)
        gone = {event.id for entry in entries for event in entry if isinstance(event, RemoveNode)}
        assert {node for node, row in zip(nodes, rows, strict=True) if row is None} <= {str(one) for one in gone}
        assert worker.terminate() == 0, worker.log.read_text()
    finally:
        worker.close()


def dumps(client: redis.Redis, keys: Keys) -> dict[str, bytes]:
    """What readers see, as Redis holds it."""
    tables: Any = client.smembers(keys.tables)
    names = [keys.served, keys.tables, *(keys.predictions(table.decode()) for table in tables)]
    found: Any = {name: client.dump(name) for name in names}
    return {name: value for name, value in found.items() if value is not None}
