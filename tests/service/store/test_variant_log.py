"""Variants read one log: it is trimmed as far as none of them needs it."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest
import redis

from service.store.fence import LogLost
from service.store.keys import Keys
from service.store.log_reader import HELD_S, LogReader

ENTRIES = [f"{number}-0" for number in range(1, 7)]


def appended(client: redis.Redis, keys: Keys) -> None:
    for position in ENTRIES:
        client.xadd(keys.log, {"n": 0}, id=position)


def kept(client: redis.Redis, keys: Keys) -> list[str]:
    return [position.decode() for position, _ in cast("Any", client.xrange(keys.log))]


def test_a_variant_holds_what_it_needs(redis_client: redis.Redis, keys: Keys) -> None:
    default, wide = LogReader(redis_client, keys), LogReader(redis_client, keys.of("wide"))
    appended(redis_client, keys)
    default.hold()
    wide.hold()
    assert default.trim_before("4-0") == 0
    assert wide.trim_before("2-0") == 2
    assert kept(redis_client, keys) == ENTRIES[2:]
    default.trim_before("5-0")
    # What each of them needs can be read.
    wide.require("2-0")
    assert [entry.position for entry in wide.read("2-0", max_events=100)] == ENTRIES[2:]
    wide.trim_before("6-0")
    default.require("5-0")
    with pytest.raises(LogLost):
        wide.require("1-0")


def test_one_that_has_been_away_too_long_holds_nothing(redis_client: redis.Redis, keys: Keys) -> None:
    default, wide = LogReader(redis_client, keys), LogReader(redis_client, keys.of("wide"))
    appended(redis_client, keys)
    wide.hold()
    redis_client.set(keys.of("wide").last_beat, str(time.time() - HELD_S - 1))
    default.trim_before("4-0")
    assert kept(redis_client, keys) == ENTRIES[4:]


def test_the_default_variant_holds_what_it_needs_however_long_it_is_away(redis_client: redis.Redis, keys: Keys) -> None:
    default, wide = LogReader(redis_client, keys), LogReader(redis_client, keys.of("wide"))
    appended(redis_client, keys)
    default.hold()
    default.trim_before("2-0")  # As far as the archive has it.
    redis_client.set(keys.last_beat, str(time.time() - HELD_S - 1))
    assert wide.trim_before("5-0") == 0
    default.require("2-0")
    assert [entry.position for entry in default.read("2-0", max_events=100)] == ENTRIES[2:]


def test_a_graph_without_variants_is_trimmed_as_before(redis_client: redis.Redis, keys: Keys) -> None:
    reader = LogReader(redis_client, keys)
    appended(redis_client, keys)
    reader.hold()
    assert reader.trim_before("4-0") == 4
    assert redis_client.get(keys.trimmed) == b"4-0"
