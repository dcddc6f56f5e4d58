"""Writes checkpoints in a thread of its own, beside the loop."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from torch import Tensor

from olad_core.checkpoint import oldest_position, write_checkpoint
from olad_core.room import Room
from service.status import CheckpointStatus

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Saved:
    """A checkpoint that is on disk.

    Attributes:
        status: as the worker reports it.
        oldest_position: that of the oldest kept checkpoint; the log is needed from there on.
    """

    status: CheckpointStatus
    oldest_position: str


class Checkpointer:
    """One writer of checkpoints below one directory.

    Args:
        root: the directory.
        keep: how many checkpoints are kept.
    """

    def __init__(self, root: Path, keep: int) -> None:
        self._root = root
        self._keep = keep
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._room = Room()
        self._making_room: Future[None] | None = None
        self._writing: Future[Saved] | None = None
        self.failures = 0
        """Checkpoints that could not be written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    @property
    def busy(self) -> bool:
        """Whether nothing can be begun: room is being made, or the end of the last one has not been asked for."""
        making = self._making_room is not None and not self._making_room.done()
        return making or self._writing is not None

    def disk_free(self) -> int:
        """Bytes that are free where the checkpoints are."""
        place = next(path for path in (self._root, *self._root.parents) if path.exists())
        return shutil.disk_usage(place).free

    def begin(self, tensors: Mapping[str, Tensor], values: Mapping[str, object], *, now: bool = False) -> bool:
        """Copy a state and start to write the copy; the tensors may change afterwards.

        Copying into memory that is there already holds the caller up least. So where there is too little of it, memory
        is taken in the background instead, unless it must be ``now``.

        Returns:
            Whether the state was copied; False asks for a later call, with the state of then.
        """
        if self._making_room is not None:
            self._making_room.result()
            self._making_room = None
        if not now and not self._room.holds(tensors):
            self._making_room = self._thread.submit(self._room.make, dict(tensors))
            return False
        self._writing = self._thread.submit(self._write, self._room.copy(tensors), values)
        return True

    def finished(self) -> Saved | None:
        """The checkpoint that has been written since the last call; None where there is none."""
        if self._writing is None or not self._writing.done():
            return None
        return self.wait()

    def wait(self) -> Saved | None:
        """Wait for the checkpoint being written; None where there is none or it could not be written."""
        writing, self._writing = self._writing, None
        if writing is None:
            return None
        try:
            return writing.result()
        except OSError as error:
            self.failures += 1
            log.error("the checkpoint could not be written; serving goes on", error=str(error))
            return None

    def _write(self, tensors: Mapping[str, Tensor], values: Mapping[str, object]) -> Saved:
        path = write_checkpoint(self._root, tensors, values, self._keep)
        position = str(values["position"])
        status = CheckpointStatus(position=position, written_at=time.time(), path=str(path))
        return Saved(status, oldest_position(self._root) or position)
