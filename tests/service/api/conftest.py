from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import redis

from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.api.serving import serving


@pytest.fixture
def api(redis_server: RedisServer, graph: str) -> Iterator[httpx.Client]:
    """A client of a running API on the test's own graph."""
    with serving(redis_server.url, graph) as client:
        yield client


@pytest.fixture
def writer(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    """The worker's side of the prediction store, started."""
    writer = PredictionWriter(redis_client, keys)
    writer.start()
    return writer
