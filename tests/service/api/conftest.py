from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.olad_core.runs import PAIR, Run, learned
from tests.redis_server import RedisServer
from tests.service.api.answering import AnsweringWorker
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


@pytest.fixture
def answering_worker(redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[AnsweringWorker]:
    """A worker in a thread that serves a group which has learned two communities, and learns no more."""
    worker = AnsweringWorker(learned(Run(PAIR)).engine, redis_client, keys, tmp_path)
    with worker.at_work():
        yield worker
