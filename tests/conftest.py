"""What tests share: one real Redis a session, a graph of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import redis
from hypothesis import settings

from service.store.keys import Keys
from tests.chaos.workers import Nursery
from tests.chaos.workers import nursery as running_nursery
from tests.redis_server import RedisServer

# Timings are not for tests: the first example may compile loops.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The session's server; leave it running and unchanged."""
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Forks workers for all tests."""
    with running_nursery() as running:
        yield running


@pytest.fixture
def own_redis_server() -> Iterator[RedisServer]:
    """A server that the test may stop and configure."""
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the session's server that answers bytes."""
    with redis_server.client() as client:
        yield client


@pytest.fixture
def graph() -> str:
    """A graph name that no other test uses."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def keys(graph: str) -> Keys:
    """The keys of the test's own graph."""
    return Keys(graph)
