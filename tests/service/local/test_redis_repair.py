from __future__ import annotations

from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from service.cli import app
from service.local.data_dir import locked
from service.local.embedded_redis import EmbeddedRedis, RedisFailed
from service.local.redis_repair import RepairFailed, repair_log

SCRIPT = "redis.call('XADD', KEYS[1], '*', 'n', ARGV[1]); redis.call('INCR', 'count')"
OLD_FILE = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$4\r\nINCR\r\n$5\r\ncount\r\n"


def _fill(data_dir: Path, entries: int = 10) -> None:
    with EmbeddedRedis(data_dir) as server, redis.Redis.from_url(server.url) as client:
        for number in range(entries):
            client.eval(SCRIPT, 1, "log", number)


def _count(data_dir: Path) -> tuple[int, int]:
    """Entries of the log and the counter that each entry raises."""
    with EmbeddedRedis(data_dir) as server, redis.Redis.from_url(server.url) as client:
        return client.xlen("log"), int(client.get("count") or 0)


def _newest(data_dir: Path) -> Path:
    return max((data_dir / "redis" / "appendonlydir").glob("*.incr.aof"))


def _damage(data_dir: Path, end: bytes) -> None:
    with _newest(data_dir).open("ab") as file:
        file.write(end)


@pytest.mark.parametrize(
    "end",
    [bytes(1), bytes(5000), bytes(3_000_000), b"*3\r\n$3\r\nset\r\n" + bytes(4096), b"\xff" * 100],
    ids=["a zero", "zeros", "many zeros", "half a command", "noise"],
)
def test_what_stands_behind_the_last_whole_entry_is_cut_off_and_kept_aside(tmp_path: Path, end: bytes) -> None:
    _fill(tmp_path)
    whole = _newest(tmp_path).read_bytes()
    _damage(tmp_path, end)
    with pytest.raises(RedisFailed, match="olad repair"):
        EmbeddedRedis(tmp_path).start()
    result = CliRunner().invoke(app, ["repair", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert f"{len(end):,} bytes at the end could not be read" in result.stdout
    assert _newest(tmp_path).read_bytes() == whole
    (copy,) = (tmp_path / "redis").glob("damaged-*")
    assert str(copy) in result.stdout
    assert copy.stat().st_mode & 0o077 == 0
    assert max(copy.glob("*.incr.aof")).read_bytes() == whole + end
    assert _count(tmp_path) == (10, 10)


def test_zeros_in_place_of_the_last_entry_lose_that_entry_alone(tmp_path: Path) -> None:
    _fill(tmp_path)
    file = _newest(tmp_path)
    file.write_bytes(file.read_bytes()[:-30] + bytes(30))
    repair_log(tmp_path)
    assert _count(tmp_path) == (9, 9)


def test_the_single_file_of_a_redis_6_is_repaired_too(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_bytes(OLD_FILE + bytes(100))
    assert repair_log(tmp_path).cut_bytes == 100
    assert _count(tmp_path) == (0, 1)


def test_a_whole_log_is_left_as_it_is(tmp_path: Path) -> None:
    _fill(tmp_path)
    assert repair_log(tmp_path).copy is None
    assert list((tmp_path / "redis").glob("damaged-*")) == []
    assert _count(tmp_path) == (10, 10)


@pytest.mark.parametrize("text", ["", "no manifest\n", "file ../../../elsewhere seq 1 type i\n"])
def test_a_damaged_manifest_is_left_to_a_backup(tmp_path: Path, text: str) -> None:
    _fill(tmp_path)
    (tmp_path / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text(text)
    with pytest.raises(RepairFailed, match="restore a backup"):
        repair_log(tmp_path)
    assert list((tmp_path / "redis").glob("damaged-*")) == []


def test_a_file_of_nothing_but_zeros_ends_empty(tmp_path: Path) -> None:
    _fill(tmp_path)
    _newest(tmp_path).write_bytes(bytes(500))
    assert repair_log(tmp_path).kept_bytes == 0
    assert _count(tmp_path) == (0, 0)


def test_a_directory_without_a_log_is_said_to_be_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["repair", str(tmp_path)])
    assert result.exit_code == 1
    assert "there is no log of a Redis" in result.stderr


def test_a_running_service_is_not_repaired(tmp_path: Path) -> None:
    with locked(tmp_path):
        result = CliRunner().invoke(app, ["repair", str(tmp_path)])
    assert result.exit_code == 1
    assert "in use by another running service" in result.stderr
