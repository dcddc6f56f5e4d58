"""Workers out of the nursery: real processes that start in milliseconds."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from service.store.keys import Keys
from service.store.positions import parse_position
from service.store.status import WorkerStatus
from tests.chaos.faults import Fault
from tests.service.metric_values import metric_value


class Nursery:
    """The process that forks workers; it ends, and all of them with it, when it is closed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],  # Tests are not installed.
        )
        self._one_at_a_time = threading.Lock()
        assert self._answer() == "ready"

    def ask(self, **command: Any) -> Any:
        with self._one_at_a_time:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            return self._answer()

    def close(self) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the nursery has ended"
        return json.loads(line)


@contextlib.contextmanager
def nursery() -> Iterator[Nursery]:
    """A nursery that is closed at the end."""
    running = Nursery()
    try:
        yield running
    finally:
        running.close()


class ForkedWorker:
    """A real worker process."""

    def __init__(self, nursery: Nursery, redis_url: str, keys: Keys, data_dir: Path, **settings: object) -> None:
        self.log = data_dir / "worker.log"
        self._nursery = nursery
        self._keys = keys
        given = {"redis_url": redis_url, "graph": keys.graph, "data_dir": data_dir} | settings
        quick = {"width": 8, "warmup_steps": 10, "publish_steps": 7} | given
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OLAD_")},
            **{f"OLAD_{name.upper()}": str(value) for name, value in quick.items()},
        }
        self._pid: int | None = None
        self.code: int | None = None
        self._log_begins = 0
        # The supervisor and whoever waits for the worker's end ask at the same time.
        self._one_at_a_time = threading.RLock()

    @property
    def pid(self) -> int:
        assert self._pid is not None
        return self._pid

    def start(self, fault: Fault | None = None) -> None:
        with self._one_at_a_time:
            self.log.touch()
            self._log_begins = self.log.stat().st_size
            self._pid = self._nursery.ask(do="start", environment=self._environment, log=str(self.log), fault=fault)
            self.code = None

    def running(self) -> bool:
        with self._one_at_a_time:
            if self._pid is not None and self.code is None:
                self.code = self._nursery.ask(do="poll", pid=self._pid)
            return self._pid is not None and self.code is None

    def send(self, name: signal.Signals) -> None:
        if self.running():
            os.kill(self.pid, name)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.wait()

    def terminate(self) -> int:
        self.send(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = 60) -> int:
        until(lambda: not self.running(), timeout_s)
        assert self.code is not None
        return self.code

    def close(self) -> None:
        if self.running():
            self.kill()

    def run_until(self, client: redis.Redis, position: str) -> None:
        """Start it, wait until readers see a position, and end it in order."""
        self.start()
        self.wait_until_visible(client, position)
        assert self.terminate() == 0, self.log.read_text()

    def logged(self, text: str) -> bool:
        """Whether it has logged that since its start."""
        return text in self.log.read_bytes()[self._log_begins :].decode(errors="replace")

    def wait_until_visible(self, client: redis.Redis, position: str, timeout_s: float = 120) -> None:
        """Wait until it has caught up and readers see a position."""

        def seen() -> bool:
            assert self.running(), self.log.read_text()[-4000:]
            # What was visible before this start does not show that this one runs.
            return is_visible(client, self._keys, position) and self.logged("caught up")

        until(seen, timeout_s)


def is_visible(client: redis.Redis, keys: Keys, position: str) -> bool:
    """Whether readers see a position."""
    seen = client.hget(keys.served, "position")
    return isinstance(seen, bytes) and parse_position(seen.decode()) >= parse_position(position)


def reported(client: redis.Redis, keys: Keys) -> WorkerStatus:
    """What the worker has reported last; waits for a first report."""
    until(lambda: client.exists(keys.status))
    report: Any = client.get(keys.status)
    return WorkerStatus.model_validate_json(report)


def metric(client: redis.Redis, keys: Keys, name: str) -> float:
    """The last reported value of a metric without labels but those of the graph and its variant."""
    text: Any = client.get(keys.metrics)
    return metric_value(text.decode(), name)


def until(condition: Callable[[], object], timeout_s: float = 60) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.003)
