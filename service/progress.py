"""What a replay has done so far, on disk, so that it can go on where it stopped."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct


class Header(Struct, frozen=True):
    """First line of the file: which replay this is."""

    run: str
    """Random name of this run; part of every Idempotency-Key."""
    replay: str
    """Service, source and options."""


class Done(Struct, frozen=True):
    """One further line for each batch that is in the log and whose predictions have been asked for."""

    position: str
    served: list[str | None]
    """The label served for each node that arrived in the batch."""


class ProgressBusy(RuntimeError):
    """Another replay is writing the same file."""


class Progress:
    """The record of one replay: a file of JSON lines that only grows.

    A batch that was sent but not recorded is sent again with the same Idempotency-Key, which changes nothing.

    Args:
        folder: where the file is kept.
        replay: text that tells one replay (service, source, options) from another.
        fresh: forget what the file has.
    """

    def __init__(self, folder: Path, replay: str, *, fresh: bool = False) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / f"{hashlib.sha256(replay.encode()).hexdigest()[:16]}.ndjson"
        self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "rb+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ProgressBusy(
                f"another replay of the same source to the same service is running ({self.path})"
            ) from None
        self._replay = replay
        self.done: list[Done] = []
        if fresh or not self._load():
            self.start_over()

    def start_over(self) -> None:
        """Forget everything; the run gets a new name, so that its batches are new ones to the service."""
        self.done = []
        self._file.truncate(0)
        self._file.seek(0)
        self.header = Header(run=secrets.token_hex(8), replay=self._replay)
        self._write(self.header)

    def key(self, batch: int) -> str:
        """Idempotency-Key of the batch with this number."""
        return f"replay-{self.header.run}-{batch}"

    def append(self, done: Done) -> None:
        """Record the next batch."""
        self.done.append(done)
        self._write(done)

    def close(self) -> None:
        """Close the file; another replay may then go on."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self) -> bool:
        """Read the file up to the last whole line; whether it had a header."""
        end = 0
        lines = iter(self._file.readline, b"")
        for number, line in enumerate(lines):
            try:
                if not line.endswith(b"\n"):
                    break
                if number == 0:
                    self.header = msgspec.json.decode(line, type=Header)
                else:
                    self.done.append(msgspec.json.decode(line, type=Done))
            except msgspec.MsgspecError:
                break
            end += len(line)
        self._file.seek(end)
        self._file.truncate(end)
        return end > 0

    def _write(self, line: Header | Done) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()
