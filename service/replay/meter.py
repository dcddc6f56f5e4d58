"""How much of a file has been read, for a progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import IO


class Meter:
    """Counts what is read of a file, in bytes as they are stored; of several, of the one that is read now.

    Args:
        size: of the file; None where it has none that is known, as a pipe.
    """

    def __init__(self, size: int | None) -> None:
        self.size = size
        self._file: IO[bytes] | None = None
        self._read = 0

    def open(self, path: Path) -> IO[bytes]:
        """Open the file from its beginning, and follow where it is read."""
        self._read = 0
        self._file = path.open("rb")
        self.size = path.stat().st_size
        return self._file

    def set(self, read: int) -> None:
        """Report what was read of a file that is not read from its beginning to its end."""
        self._file, self._read = None, read

    @property
    def read(self) -> int:
        """Bytes read so far."""
        if self._file is not None and not self._file.closed:
            self._read = self._file.tell()
        return self._read
