"""Some hundred streams of bytes against the HTTP layer; `make fuzz` tries more."""

from __future__ import annotations

import random
import resource
import socket
import time
from collections.abc import Iterator

import pytest

from tests.fuzz.http import GOOD, SEEDS, Recorder, check, read, recording, stream

Server = tuple[Recorder, int]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with recording() as running:
        yield running


@pytest.mark.parametrize("seed", SEEDS)
def test_seeds_byte_by_byte(server: Server, seed: bytes) -> None:
    data = seed + GOOD
    assert check(*server, data, [data]) == check(*server, data, [data[at : at + 1] for at in range(len(data))])


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_streams(server: Server, first: int) -> None:
    assert sum(check(*server, *stream(random.Random(seed))) for seed in range(first, first + 100)) > 30


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (GOOD[:-2] + b"X: ", b"a" * 65_536),
        (GOOD[:-2], b"X: y\r\n" * 10_000),
        (SEEDS[7][:-2], b"X: y\r\n" * 10_000),
        (SEEDS[7][:-5] + b"1;", b"e" * 65_536),
        (SEEDS[7][:-5], b"1\r\nx\r\n" * 10_000),
    ],
)
def test_what_has_no_end_costs_no_memory(server: Server, begin: bytes, more: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with socket.create_connection(("127.0.0.1", server[1]), timeout=10) as connection:
        connection.sendall(begin)
        end = time.monotonic() + 30
        with pytest.raises(ConnectionError):  # noqa: PT012
            while time.monotonic() < end:
                connection.sendall(more)
    # KiB; hundreds of megabytes were sent.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16_384
    check(*server, GOOD, [GOOD])


def test_the_reader_finds_what_is_there() -> None:
    assert [len(read(seed)) for seed in SEEDS] == [1] * 13 + [0, 1, 1, 0]
    assert [request.body for request in read(SEEDS[4] + SEEDS[8])] == [GOOD, GOOD]


def test_the_check_notices_another_reading(server: Server) -> None:
    with pytest.raises(AssertionError, match="request 0"):
        check(*server, GOOD, [GOOD.replace(b"good", b"evil")])
    with pytest.raises(AssertionError, match="2 requests, not 3"):
        check(*server, GOOD + GOOD, [GOOD])
