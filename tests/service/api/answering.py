"""A worker in a thread that serves what an engine has learned: the real lane and stores, and weights that stay."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import redis
import torch

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from service.store.fence import Fence
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from service.store.request_reader import RequestReader
from service.worker.attempts import Attempts
from service.worker.clock import SystemClock
from service.worker.growing import Grower
from service.worker.lane import Lane
from service.worker.learning import Learning
from service.worker.metrics import WorkerMetrics
from service.worker.pace import LearningPace
from service.worker.row_pace import RowPace
from service.worker.turn_times import TurnTimes


class AnsweringWorker:
    """Applies the log and answers requests, and takes no training step.

    Args:
        engine: that serves a version.
        client: of Redis; returns bytes.
        keys: of the graph.
        folder: for what a worker stores beside Redis.
        changes_kept: as of :class:`PredictionWriter`.
    """

    def __init__(self, engine: Engine, client: redis.Redis, keys: Keys, folder: Path, *, changes_kept: int = 0) -> None:
        fence, clock, self.metrics = Fence(client, keys), SystemClock(), WorkerMetrics()
        self.predictions = PredictionWriter(client, keys, fence, changes_kept=changes_kept)
        requests = RequestReader(client, keys)
        self.predictions.start()
        requests.begin()
        rows = RowPace(100, clock)
        times = TurnTimes(clock)
        learning = Learning(LearningPace(100, clock.monotonic()), rows, self.metrics, clock, Grower(), times)
        self._attempts = Attempts(folder / "attempts")
        self.lane = Lane(
            engine,
            LogReader(client, keys, fence),
            self.predictions,
            requests,
            self._attempts,
            learning,
            rows,
            self.metrics,
            times,
            fixed_steps=0,
        )
        self.failed: Exception | None = None
        self.lane.publish_everything()
        self.predictions.heartbeat(600_000)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Work in a thread until the end."""
        stop = threading.Event()

        def work() -> None:
            try:
                while not stop.is_set():
                    entries = self.lane.read(wait_s=0.02)
                    if entries:
                        self.lane.apply(entries)
                    else:
                        self.lane.answer_requests()
            except Exception as error:
                self.failed = error

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self._attempts.close()
            assert self.failed is None


@contextlib.contextmanager
def worker_of(
    api: httpx.Client, schema: Mapping[str, Any], client: redis.Redis, keys: Keys, folder: Path
) -> Iterator[AnsweringWorker]:
    """A worker at work on a new graph, whose schema is declared."""
    assert api.put("/schema", json=schema).status_code == 200
    worker = AnsweringWorker(Engine(EngineConfig(), torch.device("cpu")), client, keys, folder)
    with worker.at_work():
        yield worker


def sent(api: httpx.Client, *events: dict[str, Any]) -> str:
    """The position of events that are sent in one batch."""
    answer = api.post("/events", json=events)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["position"])


def predicted_edge(api: httpx.Client, edge_type: str, position: str, **params: Any) -> dict[str, Any]:
    """The prediction of an edge once the worker has reached a position."""
    asked = {"type": edge_type, "min_position": position, "timeout_ms": 30_000, **params}
    answer = api.get("/predict/edge", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
