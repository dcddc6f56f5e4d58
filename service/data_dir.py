"""The data directory belongs to one running stack at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path


class DataDirInUse(RuntimeError):
    """Another running stack has the directory."""


@contextlib.contextmanager
def locked(data_dir: Path, patience_s: float = 3.0) -> Iterator[int]:
    """Create the directory where it is missing and hold its lock; yields the lock's file descriptor.

    A child that inherits the descriptor holds the lock too, so it is free only when the whole stack is gone:
    two Redis servers never write one append-only file. ``patience_s`` is for a stack that is just ending.

    Raises:
        DataDirInUse: the lock is still taken after that time.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + patience_s
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                owner = path.read_text().strip()
                raise DataDirInUse(
                    f"the data directory {data_dir} is in use by another running stack"
                    f"{f' (process {owner})' if owner else ''}: stop that one or choose another --data-dir"
                )
            time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
