"""A file system of its own that can be full: a tmpfs whose size is set while it is in use."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_ROOMY = 4 * 2**30


class SmallDisk:
    """A tmpfs at a directory, which must be empty.

    Raises:
        subprocess.CalledProcessError: this process may not mount.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mount(f"size={_ROOMY}")

    def fill(self) -> None:
        """No file can grow from now on."""
        while True:
            found = os.statvfs(self._path)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            # Fails where more is used meanwhile.
            with contextlib.suppress(subprocess.CalledProcessError):
                return self._mount(f"remount,size={max(used, found.f_frsize)}")

    def free(self) -> None:
        """Free space is back."""
        self._mount(f"remount,size={_ROOMY}")

    def close(self) -> None:
        """Take it away, with all that is in it; also where a process still has a file open."""
        subprocess.run(["umount", "--lazy", self._path], check=True)

    def _mount(self, options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._path)]
        subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """A disk that is gone at the end."""
    disk = SmallDisk(path)
    try:
        yield disk
    finally:
        disk.close()


@functools.cache
def why_not() -> str | None:
    """Why there can be no small disks here; None where there can be."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder)):
                return None
        except (OSError, subprocess.CalledProcessError) as error:
            return f"this process may not mount a tmpfs: {error}"
