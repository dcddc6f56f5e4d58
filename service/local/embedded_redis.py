"""An embedded Redis server: the best program of this machine, data on disk, a private Unix socket."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import redis
import structlog

from olad_core.errors import OladError
from service.local.redis_program import WHEEL, RedisProgram, find_redis_programs
from service.local.tether import tethered
from service.machine_memory import memory_limit
from service.umask import ONLY_FOR_THE_USER

_log = structlog.get_logger(__name__)

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 30.0

_MEMORY_SHARE = 0.4
"""Of the memory of this process's control group. The worker's graph and training need the larger part."""

_LONGEST_SOCKET_PATH = 100
"""Bytes. The system's own limit is 108 on Linux and 104 on macOS, with the zero at the end."""

# Messages of an older server, and of Redis, about a binary file written by a newer server or by Valkey.
_FOREIGN = re.compile(r"Can't handle RDB format version|reading the append only file \S*\.base\.rdb")
_DAMAGED = ("Bad file format reading the append only file", "Unexpected end of file reading the append only file")


class RedisFailed(OladError, RuntimeError):
    """The Redis server did not start; the message ends with the end of its log."""


class EmbeddedRedis:
    """A Redis server on a Unix socket that keeps its data in ``data_dir/redis``.

    Every write goes to an append-only file (synced every second); data found there is served again. Folder and socket
    belong to this user alone, so no other user of the machine can connect, and no port is opened. It uses at most a
    share of the memory that this process's control group allows, and refuses writes beyond that.

    Args:
        data_dir: where the folder ``redis`` is made.
        inherit: file descriptors the server keeps open, for the data directory's lock.
        interrupted: asked while the server loads its data, which can take minutes; True ends that.
    """

    def __init__(
        self, data_dir: Path, inherit: tuple[int, ...] = (), interrupted: Callable[[], bool] = lambda: False
    ) -> None:
        self._data_dir = data_dir
        self._dir = data_dir.absolute() / "redis"
        self._inherit = inherit
        self._interrupted = interrupted
        self._socket: Path | None = None
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """URL of the running server; stays the same over a restart with :meth:`start`."""
        assert self._socket is not None, "the server has not been started"
        return f"unix://{quote(str(self._socket))}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.remove_socket()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server and wait until it has loaded its data; a second start keeps the URL.

        The best program is started first. Where it cannot read the data that another one wrote, the next is tried.

        Raises:
            RedisNotFound: no server program on this machine.
            RedisFailed: the server ended while starting, or took too long.
            KeyboardInterrupt: it was interrupted while it loaded its data.
            OSError: the folder cannot be made.
        """
        programs = find_redis_programs()
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._dir.chmod(0o700)
        if self._socket is None:
            self._socket = _socket_path(self._dir)
        for program in programs:
            self.process = self._launch(program)
            try:
                if self._wait_until_ready():
                    return self.process
            except BaseException:
                self.stop()
                raise
            if not _FOREIGN.search(self._log_tail()):
                break
            _log.warning("cannot read the data of another server", server=str(program.version), data=str(self._dir))
        raise RedisFailed(self._failure())

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

    def remove_socket(self) -> None:
        """Remove the temporary folder of the socket, where there is one; for after the last stop."""
        if self._socket is not None and self._socket.parent != self._dir:
            shutil.rmtree(self._socket.parent, ignore_errors=True)
            self._socket = None

    def _launch(self, program: RedisProgram) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603
            tethered([program.path, "-"], signal.SIGTERM),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=self._inherit,
            start_new_session=True,
            umask=ONLY_FOR_THE_USER,
        )
        assert process.stdin is not None, "it was asked for"
        process.stdin.write(self._configuration().encode())
        process.stdin.close()
        return process

    def _configuration(self) -> str:
        return f"""\
port 0
unixsocket {_quoted(self._socket)}
unixsocketperm 700
daemonize no
dir {_quoted(self._dir)}
logfile redis.log
appendonly yes
appendfsync everysec
save ""
maxmemory {int(_MEMORY_SHARE * memory_limit())}
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
                    # With the process id, since a server that is just ending may still hold the socket.
                    if info["process_id"] == self.process.pid and not info["loading"]:
                        return True
                if self._interrupted():
                    raise KeyboardInterrupt
                if time.monotonic() > deadline:
                    raise RedisFailed(
                        f"the Redis server did not answer in {_START_TIMEOUT_S:.0f} s; see {self._dir / 'redis.log'}"
                    )
                time.sleep(0.02)
        return False

    def _failure(self) -> str:
        """Why the server has ended, according to its log, and what to do."""
        log = self._log_tail()
        if _FOREIGN.search(log):
            return (
                f"the log of events in {self._dir} was written by a newer server or by Valkey, and none here can "
                f"read it: install that one (pip install {WHEEL}), or restore a backup; the end of "
                f"{self._dir / 'redis.log'}:\n{log}"
            )
        if any(text in log for text in _DAMAGED):
            return (
                f"the log of events in {self._dir} is damaged, as a power cut can leave it, and Redis does not start: "
                f"run `olad repair {self._data_dir}`, which keeps a copy and cuts off what cannot be read"
            )
        return f"the Redis server ended while starting; the end of {self._dir / 'redis.log'}:\n{log}"

    def _log_tail(self) -> str:
        log = self._dir / "redis.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-8:]) if log.exists() else "(it wrote no log)"


def _quoted(path: Path | None) -> str:
    """The path as a string of a Redis configuration file."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _socket_path(data: Path) -> Path:
    """Where to make the socket: beside the data, or in a new temporary folder where that path is too long.

    Raises:
        RedisFailed: no folder takes one.
    """
    if _takes_a_socket(data):
        return data / "redis.sock"
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp")):  # noqa: S108
        folder = Path(tempfile.mkdtemp(prefix="olad-", dir=parent))  # Only this user can enter it.
        if _takes_a_socket(folder):
            return folder / "redis.sock"
        folder.rmdir()
    raise RedisFailed(
        f"no Unix socket can be made in {data} or in a temporary folder: choose another --data-dir or TMPDIR"
    )


def _takes_a_socket(folder: Path) -> bool:
    """Whether a socket can be made there: the path is short enough, and the file system has sockets."""
    if len(bytes(folder / "redis.sock")) > _LONGEST_SOCKET_PATH:
        return False
    probe = folder / "try.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(probe))
        except OSError:
            return False
    probe.unlink()
    return True
