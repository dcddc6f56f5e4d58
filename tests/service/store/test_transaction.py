from __future__ import annotations

import pytest
import redis

from service.store.keys import Keys
from service.store.transaction import transaction


def test_reads_then_writes(redis_client: redis.Redis, keys: Keys) -> None:
    redis_client.set(keys.schema, "before")
    with transaction(redis_client, [keys.schema], [("GET", keys.schema), ("GET", keys.status)]) as (seen, pending):
        assert seen == [b"before", None]
        pending.add("SET", keys.schema, "after")
        pending.add("SET", keys.status, 5)
        assert redis_client.get(keys.schema) == b"before"
        pending.run()
    assert redis_client.mget(keys.schema, keys.status) == [b"after", b"5"]


def carry_out(client: redis.Redis, keys: Keys, *command: str, meanwhile: str | None = None) -> None:
    """Watch the schema and carry out SET status and a command, while another client sets the schema."""
    with transaction(client, [keys.schema], [("GET", keys.schema)]) as (_, pending):
        if meanwhile is not None:
            client.set(keys.schema, meanwhile)
        pending.add("SET", keys.status, "x")
        pending.add(*command)
        pending.run()


def test_nothing_is_done_where_a_watched_key_has_changed(redis_client: redis.Redis, keys: Keys) -> None:
    with pytest.raises(redis.WatchError):
        carry_out(redis_client, keys, "PING", meanwhile="another")
    assert redis_client.mget(keys.schema, keys.status) == [b"another", None]


def test_nothing_is_done_where_a_command_is_refused(redis_client: redis.Redis, keys: Keys) -> None:
    with pytest.raises(redis.ResponseError, match="unknown command"):
        carry_out(redis_client, keys, "NO-SUCH-COMMAND")
    assert redis_client.get(keys.status) is None


def test_a_command_that_fails_when_carried_out_is_told(redis_client: redis.Redis, keys: Keys) -> None:
    redis_client.set(keys.schema, "text")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        carry_out(redis_client, keys, "HSET", keys.schema, "field", "value")


def test_the_connection_is_clean_after_a_transaction_that_was_given_up(redis_client: redis.Redis, keys: Keys) -> None:
    with pytest.raises(KeyError), transaction(redis_client, [keys.schema], [("GET", keys.schema)]):
        raise KeyError
    redis_client.set(keys.schema, "another")
    with transaction(redis_client, [keys.status], [("GET", keys.schema)]) as (seen, pending):
        assert seen == [b"another"]
        pending.add("SET", keys.status, "done")
        pending.run()
    assert redis_client.get(keys.status) == b"done"
