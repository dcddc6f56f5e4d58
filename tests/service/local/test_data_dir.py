from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from service.local.data_dir import DataDirInUse, DataDirUnusable, locked

NOBODY = 65_534


@contextlib.contextmanager
def no_privileges() -> Iterator[Path]:
    """A folder of a user for whom permissions count, as they do not for root."""
    with tempfile.TemporaryDirectory(prefix="olad-") as folder:
        Path(folder).chmod(0o755)
        if os.geteuid() != 0:
            yield Path(folder)
            return
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)


def modes(top: Path) -> dict[str, str]:
    return {str(path.relative_to(top)): oct(path.lstat().st_mode & 0o777) for path in sorted(top.rglob("*"))}


def test_the_directory_is_made_and_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "new" / "dir"):
            assert (tmp_path / "new" / "dir").is_dir()


def test_a_second_stack_is_refused_and_told_which_process_has_it(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(DataDirInUse, match=rf"(?s){tmp_path}.*process {os.getpid()}.*--data-dir"),
        locked(tmp_path, patience_s=0),
    ):
        pass


def test_a_child_that_inherits_the_lock_keeps_it(tmp_path: Path) -> None:
    with locked(tmp_path) as descriptor:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[descriptor])
    with child:
        with pytest.raises(DataDirInUse), locked(tmp_path, patience_s=0):
            pass
        child.communicate(b"\n")
        with locked(tmp_path, patience_s=0):
            pass


@pytest.mark.parametrize(
    ("taken", "data_dir", "why"),
    [
        pytest.param("data", "data", "a file is in its place", id="a file"),
        pytest.param("parent", "parent/data", "Not a directory", id="a file above it"),
        pytest.param("data/redis", "data", "a file is in the way of a folder .*redis", id="a file for redis"),
        pytest.param("data/checkpoints", "data", "a file is in the way of a folder", id="a file for checkpoints"),
        pytest.param("data/lock/x", "data", "Is a directory .*lock", id="a folder for the lock"),
        pytest.param(None, "a" * 300, "File name too long", id="a long name"),
        pytest.param(None, "zero\0byte", "null byte", id="a zero byte"),
        pytest.param(None, "/proc/olad", "No such file|not permitted", id="a system's folder"),
    ],
)
def test_a_directory_that_cannot_be_used_is_explained(
    tmp_path: Path, taken: str | None, data_dir: str, why: str
) -> None:
    if taken is not None:
        (tmp_path / taken).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / taken).write_text("")
    with pytest.raises(DataDirUnusable, match=rf"cannot be used: .*({why}).*--data-dir"), locked(tmp_path / data_dir):
        pass


@pytest.mark.parametrize("folder", ["", "data", "data/redis", "data/checkpoints"])
def test_a_directory_without_permission_is_explained(folder: str) -> None:
    with no_privileges() as top:
        (top / folder).mkdir(parents=True, exist_ok=True)
        (top / folder).chmod(0o500)
        with pytest.raises(DataDirUnusable, match=r"(?i)cannot be used: .*permi"), locked(top / "data"):
            pass
        (top / folder).chmod(0o700)


def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lock").symlink_to("/dev/full")
    monkeypatch.setattr(os, "ftruncate", lambda *_: None)  # The device has no length to change.
    with pytest.raises(DataDirUnusable, match="No space left on device"), locked(tmp_path):
        pass


def test_what_others_could_use_is_taken_from_them_and_that_is_said(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    (data_dir / "redis").mkdir(parents=True)
    (data_dir / "redis" / "appendonly.aof").write_text("")
    (data_dir / "checkpoints" / "default" / "checkpoint-1").mkdir(parents=True)
    (data_dir / "workers").mkdir()
    (data_dir / "workers" / "default.lock").write_text("")
    (data_dir / "redis" / "elsewhere").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    with structlog.testing.capture_logs() as lines, locked(data_dir):
        pass
    assert [line["files"] for line in lines] == [8]
    assert data_dir.stat().st_mode & 0o077 == 0
    assert {name: mode for name, mode in modes(data_dir).items() if not mode.endswith("00")} == {
        "redis/elsewhere": "0o777"
    }
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o755
    with structlog.testing.capture_logs() as again, locked(data_dir):
        pass
    assert again == []


def test_a_directory_that_holds_other_things_is_left_as_it_is_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("")
    tmp_path.chmod(0o777)
    (tmp_path / "letters").chmod(0o644)
    with structlog.testing.capture_logs() as lines, locked(tmp_path):
        pass
    assert [line["event"] for line in lines] == ["other users may write in the data directory; take that from them"]
    assert tmp_path.stat().st_mode & 0o777 == 0o777
    assert (tmp_path / "letters").stat().st_mode & 0o777 == 0o644


def test_files_of_somebody_else_are_named(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files to others")
    with no_privileges() as top:
        os.seteuid(0)
        (top / "redis").mkdir(mode=0o777)
        (top / "redis").chmod(0o777)
        os.seteuid(NOBODY)
        with structlog.testing.capture_logs() as lines, locked(top):
            pass
    assert [line["first"] for line in lines if "cannot change" in line["event"]] == [str(top / "redis")]
