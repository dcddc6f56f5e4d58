"""The local service: Redis, worker and API as child processes, started, watched and stopped together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Self

import httpx
import redis
import structlog

from olad_core.errors import OladError
from service.exit_codes import REFUSES
from service.local.data_dir import locked
from service.local.embedded_redis import EmbeddedRedis
from service.local.tether import PYTHON, tethered
from service.settings import Settings, environment
from service.store.connection import connect_blocking
from service.store.keys import Keys
from service.umask import ONLY_FOR_THE_USER

_log = structlog.get_logger(__name__)

_START_TIMEOUT_S = 120.0
_CRASHES_PER_MINUTE = 5


class LocalServiceFailed(OladError, RuntimeError):
    """The service could not be started or kept running; the message names the process and the reason."""


@dataclass
class StopRequest:
    """Whether the user, or the system, has asked this process to stop."""

    requested: bool = False


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into a request, so that processes are stopped in order."""
    stop = StopRequest()

    def request(_signal: int, _frame: FrameType | None) -> None:
        stop.requested = True

    before = {name: signal.signal(name, request) for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@dataclass
class _Child:
    """One child process and the times of its crashes."""

    name: str
    launch: Callable[[], subprocess.Popen[bytes]]
    stop_timeout_s: float
    process: subprocess.Popen[bytes] | None = None
    crashes: deque[float] = field(default_factory=deque)
    restart_at: float | None = None

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(self.stop_timeout_s)
        except subprocess.TimeoutExpired:
            _log.warning("killed: it did not stop in time", part=self.name, waited_s=self.stop_timeout_s)
            self.process.kill()
            self.process.wait()
        self.process = None


class LocalService:
    """Redis (unless the settings name one), worker and API.

    Used as a context manager: leaving it stops API, worker and Redis, in that order. The thread that enters
    it must be the one that calls :meth:`poll`, and must outlast the children.

    Args:
        settings: of the worker and the API; a port of 0 takes a free one.
        log_dir: folder for the children's output; None leaves it on this process's standard error.
        stop: ends a start that waits for Redis to load its data, with :class:`KeyboardInterrupt`.
    """

    def __init__(self, settings: Settings, log_dir: Path | None = None, stop: StopRequest | None = None) -> None:
        self._given = settings
        self._log_dir = log_dir
        self._stop = stop or StopRequest()
        self._exit = contextlib.ExitStack()
        self._children: list[_Child] = []
        self._settings = settings

    @property
    def settings(self) -> Settings:
        """The settings the children run with: the Redis URL and the port as they turned out."""
        return self._settings

    @property
    def url(self) -> str:
        """Where the API listens."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._settings.host, self._settings.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self._settings.port}"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as started:
            listener = started.enter_context(listen(self._given.host, self._given.port))
            lock = started.enter_context(locked(self._given.data_dir))
            changes: dict[str, object] = {
                "port": listener.getsockname()[1],
                "data_dir": self._given.data_dir.absolute(),
            }
            server = EmbeddedRedis(self._given.data_dir, inherit=(lock,), interrupted=lambda: self._stop.requested)
            started.callback(server.remove_socket)
            started.callback(self._stop_children)
            if self._given.redis_url is None:
                self._add("redis", server.start, stop_timeout_s=30)
                changes["redis_url"] = server.url
            self._settings = self._given.model_copy(update=changes)
            self._forget_earlier_worker()
            self._add("worker", lambda: self._launch("worker", pass_fds=(lock,)), stop_timeout_s=60)
            inherited = (lock, listener.fileno())
            self._add(
                "api",
                lambda: self._launch("api", "--fd", str(listener.fileno()), pass_fds=inherited),
                stop_timeout_s=15,
            )
            self._exit = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _store(self) -> redis.Redis:
        assert self._settings.redis_url is not None, "it is known since the start"
        return connect_blocking(self._settings.redis_url, Keys(self._settings.graph), timeout_s=5)

    def _forget_earlier_worker(self) -> None:
        """Delete the heartbeat of a worker that has ended, so that the next one seen is the new worker's."""
        try:
            with self._store() as store:
                store.delete(Keys(self._settings.graph).heartbeat)
        except (redis.RedisError, ValueError) as error:
            raise LocalServiceFailed(f"the Redis of OLAD_REDIS_URL or --redis-url cannot be used: {error}") from None

    def wait_until_live(self, stop: StopRequest) -> None:
        """Wait until the API answers and the worker's heartbeat is there, or until a stop is requested.

        Raises:
            LocalServiceFailed: a process ended, or the start took too long.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        with self._store() as store, httpx.Client(trust_env=False) as http:
            while not stop.requested:
                for child in self._children:
                    if child.process is not None and child.process.poll() is not None:
                        code = child.process.returncode
                        raise LocalServiceFailed(
                            f"the {child.name} {'refuses to start' if code == REFUSES else 'ended while starting'} "
                            f"(exit code {code})" + self.output_of(child.name)
                        )
                if self._is_live(store, http):
                    return
                if time.monotonic() > deadline:
                    raise LocalServiceFailed(f"worker and API were not there after {_START_TIMEOUT_S:.0f} s")
                time.sleep(0.1)

    def _is_live(self, store: redis.Redis, http: httpx.Client) -> bool:
        try:
            return bool(
                store.exists(Keys(self._settings.graph).heartbeat)
                and http.get(f"{self.url}/health/live", timeout=2).is_success
            )
        except httpx.HTTPError:
            return False
        except redis.RedisError as error:
            raise LocalServiceFailed(f"Redis cannot be used: {error}") from None

    def poll(self) -> None:
        """Restart processes that have ended, unless their exit status is :data:`~service.exit_codes.REFUSES`.

        The wait before a restart doubles with each crash of the last minute. Call it a few times a second.

        Raises:
            LocalServiceFailed: a process crashed six times within a minute.
        """
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                if child.process.returncode == REFUSES:
                    _log.error(
                        "ended, and starting it again would not help; the other processes keep running", part=child.name
                    )
                    child.process = None
                    continue
                while child.crashes and child.crashes[0] < now - 60:
                    child.crashes.popleft()
                if len(child.crashes) >= _CRASHES_PER_MINUTE:
                    raise LocalServiceFailed(
                        f"the {child.name} crashed {len(child.crashes) + 1} times within a minute "
                        f"(exit code {child.process.returncode})" + self.output_of(child.name)
                    )
                wait_s = 0.25 * 2 ** len(child.crashes)
                _log.error("ended; starting it again", part=child.name, code=child.process.returncode, in_s=wait_s)
                child.crashes.append(now)
                child.process, child.restart_at = None, now + wait_s
            elif child.restart_at is not None and now >= child.restart_at:
                child.process, child.restart_at = child.launch(), None

    def output_of(self, name: str) -> str:
        """The end of a process's output for an error message; empty where it went to the terminal."""
        if self._log_dir is None or not (path := self._log_dir / f"{name}.log").exists():
            return ""
        return f"; the end of {path}:\n" + "\n".join(path.read_text(errors="replace").splitlines()[-12:])

    def _add(self, name: str, launch: Callable[[], subprocess.Popen[bytes]], stop_timeout_s: float) -> None:
        child = _Child(name, launch, stop_timeout_s)
        self._children.append(child)
        child.process = launch()

    def _stop_children(self) -> None:
        for child in reversed(self._children):
            child.stop()
        self._children.clear()

    def _launch(self, *command: str, pass_fds: tuple[int, ...]) -> subprocess.Popen[bytes]:
        with contextlib.ExitStack() as files:
            output = None
            if self._log_dir is not None:
                self._log_dir.mkdir(parents=True, exist_ok=True)
                output = files.enter_context((self._log_dir / f"{command[0]}.log").open("ab"))
            return subprocess.Popen(  # noqa: S603
                # A kill loses nothing, and once this process has ended no other waits for its children.
                tethered([*PYTHON, "service.entry", *command], signal.SIGKILL),
                env={name: value for name, value in os.environ.items() if name != "OLAD_API_KEY"}
                | environment(self._settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
                # Ctrl-C in a terminal goes to the whole process group; only this process may act on it.
                start_new_session=True,
                umask=ONLY_FOR_THE_USER,
            )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket for the API; held by this process, so that it outlives a crash of the API.

    Raises:
        LocalServiceFailed: the port is taken or the address is not one of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise LocalServiceFailed(
            f"cannot listen on {host}, port {port} ({error.strerror}): choose another --port"
        ) from None
