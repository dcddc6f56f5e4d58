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

from olad_core.errors import OladError


class Header(Struct, frozen=True):
    """First line of the file: which replay this is."""

    run: str
    """Random name of this run; part of every Idempotency-Key."""
    replay: str
    """Log, source and options."""
    sent_to: str = ""
    """The service's address, source and options: what the user would call the same replay."""


class Done(Struct, frozen=True):
    """One further line for each batch that is in the log and whose predictions have been asked for."""

    position: str
    served: list[str | None]
    """The label served for each node that arrived in the batch."""
    shares: list[float | None] | None = None
    """The probability of the ranked class that was served for each; None where no class is ranked."""


class ProgressBusy(OladError, RuntimeError):
    """Another replay is writing the same file."""


class Progress:
    """The record of one replay: a file of JSON lines that only grows.

    A batch that was sent but not recorded is sent again with the same Idempotency-Key, which changes nothing.

    Args:
        folder: where the file is kept.
        replay: text that tells one replay (log, source, options) from another.
        sent_to: text that is the same where only the log at an address is another one.
        fresh: forget what the file has.
    """

    def __init__(self, folder: Path, replay: str, *, sent_to: str = "", fresh: bool = False) -> None:
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
        self._replay, self._sent_to = replay, sent_to
        self.done: list[Done] = []
        if fresh or not self._load():
            self.start_over()

    def start_over(self, keep: int = 0) -> None:
        """Forget all but the first batches; the run gets a new name, so that further ones are new to the service."""
        self.done = self.done[:keep]
        self._file.truncate(0)
        self._file.seek(0)
        self.header = Header(run=secrets.token_hex(8), replay=self._replay, sent_to=self._sent_to)
        self._write(self.header)
        for done in self.done:
            self._write(done)

    def sent_to_another_log(self) -> bool:
        """Whether the same was sent to the same address before, but to another log than the present one."""
        return any(_belongs(path, self._sent_to) for path in self.path.parent.glob("*.ndjson") if path != self.path)

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


def _belongs(path: Path, sent_to: str) -> bool:
    """Whether a file is the record of what was sent there; releases before this one named it ``replay``."""
    try:
        with path.open("rb") as file:
            header = msgspec.json.decode(file.readline(), type=Header)
    except (OSError, msgspec.MsgspecError):
        return False
    return bool(sent_to) and sent_to in {header.sent_to, header.replay}
