"""The whole service as real processes that may be struck: Redis, worker and API, each started again when it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import httpx

from service.store.keys import Keys
from service.store.status import WorkerStatus
from tests.chaos.faults import Fault
from tests.chaos.small_disk import SmallDisk, why_not
from tests.chaos.workers import ForkedWorker, Nursery, until
from tests.redis_server import RedisServer

WORKER_SETTINGS = {"checkpoint_interval_s": 0.5, "publish_steps": 10, "warmup_steps": 5}
API_SETTINGS = {"max_behind": 20_000}


class Worker(Protocol):
    """A worker that can be started again and again."""

    @property
    def pid(self) -> int:
        """Of the process that was started last."""

    def start(self, fault: Fault | None = None) -> None:
        """Start it, with a fault that strikes it."""

    def running(self) -> bool:
        """Whether the process is there."""

    def logged(self, text: str) -> bool:
        """Whether it has logged that since its start."""

    def terminate(self) -> int:
        """SIGTERM, and the exit status."""

    def close(self) -> None:
        """End it."""


class Service:
    """Processes and the supervisor that starts again what has ended, a tenth of a second later.

    Args:
        worker: makes one out of the URL of Redis, keys, the folder, and settings.
        folder: of all files.
        settings: of worker and API.

    Attributes:
        fault: strikes the next worker that is started.
        held: the supervisor leaves these parts alone: ``worker``, ``api``, ``redis``.
        disks: file systems of their own for ``worker`` (its checkpoints) and ``redis``; empty where there can be none.
    """

    def __init__(self, worker: Callable[..., Worker], folder: Path, **settings: object) -> None:
        self.keys = Keys("chaos")
        self.data_dir = folder
        self.redis = RedisServer()
        self.worker = worker(self.redis.url, self.keys, folder, **WORKER_SETTINGS | settings)
        self.fault: Fault | None = None
        self.held: set[str] = set()
        self.disks: dict[str, SmallDisk] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10, trust_env=False)
        self._api: subprocess.Popen[bytes] | None = None
        self._settings = API_SETTINGS | settings
        self._ending = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise)

    @property
    def api_pid(self) -> int:
        assert self._api is not None
        return self._api.pid

    def take_disks(self) -> None:
        """Give worker and Redis small disks; before the start."""
        checkpoints = self.data_dir / "checkpoints"
        checkpoints.mkdir()
        self.disks["worker"] = SmallDisk(checkpoints)
        self.disks["redis"] = SmallDisk(self.redis.directory)

    def start(self) -> None:
        self.redis.start()
        if "worker" not in self.held:
            self.worker.start()
        self._start_api()
        self._supervisor.start()
        until(self.is_live)

    def close(self) -> None:
        self._ending.set()
        if self._supervisor.is_alive():
            self._supervisor.join()
        self.http.close()
        if self._api is not None:
            self._api.kill()
            self._api.wait()
        self.worker.close()
        self.redis.stop()
        for disk in self.disks.values():
            disk.close()
        self.redis.close()
        self._listener.close()

    def is_live(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.http.get("/status").is_success
        return False

    def status(self) -> WorkerStatus | None:
        """The worker's report; None while the API or Redis does not answer, or none has reported."""
        with contextlib.suppress(httpx.HTTPError):
            answer = self.http.get("/status")
            if answer.is_success and answer.json()["worker"] is not None:
                return WorkerStatus.model_validate(answer.json()["worker"])
        return None

    def kill(self, part: str) -> None:
        if part == "redis":
            self.redis.kill()
        else:
            os.kill(self.pid(part), signal.SIGKILL)

    def pid(self, part: str) -> int:
        return {"redis": lambda: self.redis.pid, "api": lambda: self.api_pid, "worker": lambda: self.worker.pid}[part]()

    def _start_api(self) -> None:
        environment: dict[str, Any] = {"redis_url": self.redis.url, "graph": self.keys.graph} | self._settings
        with (self.data_dir / "api.log").open("ab") as log:
            self._api = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "api", "--fd", str(self._listener.fileno())],
                env={
                    **{name: value for name, value in os.environ.items() if not name.startswith("OLAD_")},
                    **{f"OLAD_{name.upper()}": str(value) for name, value in environment.items()},
                },
                stdout=log,
                stderr=log,
                pass_fds=(self._listener.fileno(),),
            )

    def _supervise(self) -> None:
        while not self._ending.wait(0.1):
            if "redis" not in self.held and not self.redis.running():
                self.redis.start()
            if "worker" not in self.held and not self.worker.running():
                self.worker.start(self.fault)
                self.fault = None
            if "api" not in self.held and self._api is not None and self._api.poll() is not None:
                self._start_api()


@contextlib.contextmanager
def started(service: Service, *, small_disks: bool = False) -> Iterator[Service]:
    """A service that is live, and gone at the end; on small disks if asked for and where there can be such."""
    try:
        if small_disks and why_not() is None:
            service.take_disks()
        service.start()
        yield service
    finally:
        service.close()


@contextlib.contextmanager
def running_service(
    nursery: Nursery, folder: Path, *, small_disks: bool = False, **settings: object
) -> Iterator[Service]:
    """A service with a worker out of the nursery, as :func:`started`."""
    with started(Service(partial(ForkedWorker, nursery), folder, **settings), small_disks=small_disks) as service:
        yield service


@contextlib.contextmanager
def stopped(pid: int, seconds: float) -> Iterator[None]:
    """SIGSTOP, and SIGCONT after that time."""
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
