"""A real Redis server for tests, on a unix socket in a directory of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import redis

from service.local.redis_program import find_redis_programs


class RedisServer:
    """Start, stop and start again; an append-only file keeps the data in between. The program is ``olad up``'s."""

    def __init__(self) -> None:
        # A socket's path may have about a hundred characters: pytest's own directories are too long.
        self.directory = Path(tempfile.mkdtemp(prefix="olad-redis-"))
        self.url = f"unix://{self.directory}/redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {
            "port": "0",
            "unixsocket": "redis.sock",
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "daemonize": "no",
            "logfile": "redis.log",
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
        self._process = subprocess.Popen([find_redis_programs()[0].path, *arguments], cwd=self.directory)
        with self.client() as client:
            for _ in range(1000):
                assert self._process.poll() is None, (self.directory / "redis.log").read_text()
                try:
                    client.ping()
                except redis.ConnectionError:
                    time.sleep(0.02)
                else:
                    return
        raise AssertionError("Redis did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """What a power cut does to the process; the files stay."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=30)
