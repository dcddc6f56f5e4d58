from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from service.store.bulk_hset import ROWS_PER_COMMAND, hset_commands
from service.store.transaction import transaction
from tests.redis_server import RedisServer

IDS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), unique=True, max_size=30)


@pytest.fixture(scope="module")
def client(redis_server: RedisServer) -> redis.Redis:
    return redis_server.client()


def write(client: redis.Redis, nodes: list[str], rows: npt.NDArray[np.uint8]) -> dict[bytes, bytes]:
    """What Redis holds afterwards."""
    client.delete("rows")
    with transaction(client, ["rows"], [("EXISTS", "rows")]) as (_, pending):
        for command in hset_commands("rows", nodes, rows):
            pending.add_packed(command)
        pending.run()
    return cast("dict[bytes, bytes]", client.hgetall("rows"))


@given(IDS, st.integers(1, 5))
def test_redis_holds_each_row_under_its_id(client: redis.Redis, nodes: list[str], width: int) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (len(nodes), width), np.uint8)
    expected = {node.encode(): row.tobytes() for node, row in zip(nodes, rows, strict=True)}
    assert write(client, nodes, rows) == expected


def test_ids_of_which_only_some_are_ascii(client: redis.Redis) -> None:
    nodes = ["ab", "é", "\r\n", "$1", "日本語", "abc", "\x00"]
    rows = np.arange(7, dtype=np.uint8)[:, None]
    assert write(client, nodes, rows) == {node.encode(): bytes([number]) for number, node in enumerate(nodes)}


def test_more_rows_than_one_command_takes(client: redis.Redis) -> None:
    nodes = [f"{number:05}" for number in range(ROWS_PER_COMMAND + 1)]
    rows = np.arange(len(nodes), dtype="<u4")[:, None].view(np.uint8)
    assert len(list(hset_commands("rows", nodes, rows))) == 2
    assert write(client, nodes, rows)[nodes[-1].encode()] == rows[-1].tobytes()
