"""The data directory: it belongs to one running service at a time, and its files to one user."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

from olad_core.errors import OladError

_log = structlog.get_logger(__name__)

_FOLDERS = ("checkpoints", "logs", "redis", "replay", "workers")
_KNOWN = {*_FOLDERS, "demo", "lock"}
_OTHERS = 0o077
"""Permission bits of everybody but the owner."""

_EFFECTIVE = os.access in os.supports_effective_ids


class DataDirInUse(OladError, RuntimeError):
    """Another running service uses the directory."""


class DataDirUnusable(OladError, RuntimeError):
    """The directory cannot be made, or not be written; the message names the reason."""


@contextlib.contextmanager
def locked(data_dir: Path, patience_s: float = 3.0) -> Iterator[int]:
    """Create the directory where it is missing and hold its lock; yields the lock's file descriptor.

    A child that inherits the descriptor holds the lock too. It is free only when all processes of the service have
    ended, so two Redis servers never write one append-only file. ``patience_s`` is for a service that is just ending.
    Other users lose their access to the files in it (:func:`keep_private`).

    Raises:
        DataDirInUse: the lock is still taken after that time.
        DataDirUnusable: the directory cannot be made or written.
    """
    path = data_dir / "lock"
    with _explained(data_dir):
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + patience_s
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                owner = path.read_text().strip()
                raise DataDirInUse(
                    f"the data directory {data_dir} is in use by another running service"
                    f"{f' (process {owner})' if owner else ''}: stop that one or choose another --data-dir"
                )
            time.sleep(0.05)
        with _explained(data_dir):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            _check_folders(data_dir)
            keep_private(data_dir)
        yield descriptor
    finally:
        os.close(descriptor)


def keep_private(data_dir: Path) -> None:
    """Remove the access of other users to the files of the service, and log that.

    The directory itself is left alone where it holds other things too, such as a home directory; a warning is logged
    where others may write in it. Links are not followed.
    """
    ours = [path for name in _FOLDERS for path in _tree(data_dir / name)]
    if {path.name for path in data_dir.iterdir()} <= _KNOWN:
        ours.append(data_dir)
    elif data_dir.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        _log.warning("other users may write in the data directory; take that from them", data_dir=str(data_dir))
    open_to_others = [path for path in ours if _open_to_others(path)]
    kept = [path for path in open_to_others if not _close_to_others(path)]
    if kept:
        _log.warning("other users may use files of the service, and this user cannot change that", first=str(kept[0]))
    if len(open_to_others) > len(kept):
        _log.warning(
            "other users could use files of the service; now they cannot",
            data_dir=str(data_dir),
            files=len(open_to_others) - len(kept),
        )


def _tree(top: Path) -> Iterator[Path]:
    """The folder and all that is in it, without following links."""
    if top.is_dir() and not top.is_symlink():
        yield top
        for folder, folders, files in os.walk(top):
            yield from (Path(folder, name) for name in (*folders, *files))


def _open_to_others(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # A file that came and went, as in a backup that is being made.
        return False
    return not stat.S_ISLNK(mode) and bool(mode & _OTHERS)


def _close_to_others(path: Path) -> bool:
    """Whether it could be done."""
    try:
        path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~_OTHERS)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def _check_folders(data_dir: Path) -> None:
    """Raise the error that a process of the service would otherwise raise later."""
    for name in _FOLDERS:
        folder = data_dir / name
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(0, "a file is in the way of a folder", str(folder))
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK, effective_ids=_EFFECTIVE):
            raise PermissionError(0, "no permission to write", str(folder))


@contextlib.contextmanager
def _explained(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise DataDirUnusable(_reason(data_dir, "a file is in its place", str(data_dir))) from None
    except OSError as error:
        raise DataDirUnusable(_reason(data_dir, error.strerror or str(error), error.filename)) from None
    except ValueError as error:  # A zero byte in the name.
        raise DataDirUnusable(_reason(data_dir, str(error), None)) from None


def _reason(data_dir: Path, why: str, where: str | None) -> str:
    place = f" ({where})" if where is not None and Path(where) != data_dir else ""
    return (
        f"the data directory {data_dir} cannot be used: {why}{place}; choose another with --data-dir or OLAD_DATA_DIR"
    )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
