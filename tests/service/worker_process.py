"""Real worker processes for tests, and a stream of entries with everything in it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import redis

from olad_core.events import Event, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode, encode_log
from service.keys import Keys
from service.stream import parse_position

CLASSES = 3
FEATURES = 6


def random_entries(count: int, seed: int) -> list[list[Event]]:
    """Batches in which nodes, edges, features and labels come and go, some of them impossible."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(CLASSES, FEATURES))
    entries: list[list[Event]] = []
    for number in range(count):
        events: list[Event] = []
        for node in range(number * 4, number * 4 + 4):
            label = node % CLASSES
            x = (centres[label] + random.normal(scale=0.5, size=FEATURES)).tolist()
            events.append(UpsertNode(id=str(node), x=x))
            events += [
                UpsertEdge(src=str(node), dst=str(other), weight=float(random.uniform(0.5, 2)))
                for other in random.integers(max(node, 1), size=3)
            ]
            events.append(LabelNode(id=str(node // 2), label=f"class {node // 2 % CLASSES}"))
        any_node = str(random.integers(number * 4 + 4))
        if number % 5 == 4:
            events.append(RemoveNode(id=any_node))
        events.append(RemoveEdge(src=any_node, dst=str(random.integers(number * 4 + 4))))
        entries.append(events)
    return entries


def append(client: redis.Redis, keys: Keys, entries: list[list[Event]], first: int = 1) -> None:
    """Append entries under positions that are the same in every run: ``1-0``, ``2-0``, ..."""
    for number, events in enumerate(entries, start=first):
        with client.pipeline(transaction=True) as pipe:
            pipe.xadd(keys.log, {"events": encode_log(events), "n": len(events)}, id=f"{number}-0")
            pipe.incrby(keys.appended, len(events))
            pipe.execute()


class WorkerProcess:
    """``olad worker`` as users run it."""

    def __init__(self, redis_url: str, keys: Keys, data_dir: Path, **settings: object) -> None:
        self.log = data_dir / "worker.log"
        self._keys = keys
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OLAD_")},
            "OLAD_REDIS_URL": redis_url,
            "OLAD_GRAPH": keys.graph,
            "OLAD_DATA_DIR": str(data_dir),
            "OLAD_WIDTH": "8",
            "OLAD_WARMUP_STEPS": "10",
            "OLAD_PUBLISH_STEPS": "7",
            **{f"OLAD_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "worker"], env=self._environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """What a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> int:
        """What an orchestrator does; the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=60)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(timeout=60)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def wait_until_visible(self, client: redis.Redis, position: str, timeout_s: float = 120) -> None:
        """Wait until readers see a position."""
        for _ in _until(timeout_s):
            assert self._process is not None
            assert self._process.poll() is None, self.log.read_text()
            seen = client.hget(self._keys.served, "position")
            if isinstance(seen, bytes) and parse_position(seen.decode()) >= parse_position(position):
                return
        raise AssertionError(f"{position} was not reached:\n{self.log.read_text()}")


def _until(timeout_s: float) -> Iterator[None]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        yield
        time.sleep(0.01)
