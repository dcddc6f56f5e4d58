"""Redis, API and worker as processes of their own, as users run them; and a prepared graph to start from."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import redis

from benchmarks.prepared import Prepared
from service.local.embedded_redis import EmbeddedRedis
from service.local.processes import environment, listen
from service.settings import Settings
from service.store.keys import Keys
from service.variant_names import DEFAULT_VARIANT


class Stack:
    """Processes on free ports in a directory that is gone afterwards.

    Args:
        begin_with: a prepared graph; nothing where it is left out.
        settings: those that are not default.
    """

    def __init__(self, begin_with: Prepared | None = None, **settings: object) -> None:
        self._exit = contextlib.ExitStack()
        self.directory = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="olad-bench-")))
        if begin_with is not None:
            shutil.copytree(begin_with.directory, self.directory, dirs_exist_ok=True)
            settings = {"students": ",".join(begin_with.students), **settings}
        server = self._exit.enter_context(EmbeddedRedis(self.directory))
        self.settings = Settings.model_validate({"redis_url": server.url, "data_dir": self.directory, **settings})
        self.redis = self._exit.enter_context(redis.Redis.from_url(server.url))
        self.keys = Keys(self.settings.graph)
        if begin_with is not None:
            begin_with.announce(self.redis, self.keys)

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def api(self) -> str:
        """Start one API process; its URL once it answers."""
        listener = self._exit.enter_context(listen("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        arguments = ("-m", "service.cli", "api", "--fd", str(listener.fileno()))
        self._until_answered("api", self._start("api", *arguments, keep=(listener.fileno(),)), f"{url}/health/live")
        return url

    def worker(self, variant: str = DEFAULT_VARIANT) -> subprocess.Popen[bytes]:
        """Start the worker of a variant; it may take a while until it serves."""
        return self._start(f"worker-{variant}", "-m", "service.cli", "worker", "--variant", variant)

    def until_served(self, variant: str = DEFAULT_VARIANT) -> None:
        """Wait until readers see a model of a variant at the end of the log."""
        until(lambda: self.is_served(variant))

    def is_served(self, variant: str = DEFAULT_VARIANT) -> bool:
        """Whether readers see a model of a variant at the end of the log."""
        served = self.redis.hget(self.keys.of(variant).served, "version")
        return served is not None and self.behind(variant) == 0

    def behind(self, variant: str = DEFAULT_VARIANT) -> int:
        """Events in the log that the predictions of a variant do not show."""
        shown = self.redis.hget(self.keys.of(variant).served, "applied")
        return int(self.redis.get(self.keys.appended) or 0) - int(shown or 0)

    def output(self, name: str) -> str:
        """What a process has written."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def _until_answered(self, name: str, process: subprocess.Popen[bytes], url: str) -> None:
        def answered() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{name} has ended:\n{self.output(name)}")
            with contextlib.suppress(httpx.TransportError):
                # The socket listens before the process does: a request made too early waits in its queue.
                return httpx.get(url, trust_env=False, timeout=1).is_success
            return False

        until(answered)

    def _start(self, name: str, *command: str, keep: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                env=os.environ | environment(self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=keep,
            )
        self._exit.callback(_stop, process)
        return process


def until(true: Callable[[], object], timeout_s: float = 180.0, every_s: float = 0.02) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + timeout_s
    while True:
        if true():
            return
        if time.monotonic() > deadline:
            raise TimeoutError("what the benchmark waits for did not come")
        time.sleep(every_s)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
