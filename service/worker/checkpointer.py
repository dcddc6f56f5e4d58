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

from service.store.status import CheckpointStatus
from service.worker.checkpoint import list_checkpoints, oldest_position, write_checkpoint
from service.worker.copy_buffers import CopyBuffers

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Saved:
    """A checkpoint that is on disk.

    Attributes:
        status: as the worker reports it.
        oldest_position: that of the oldest kept checkpoint; the log is needed from there on.
        undeleted: older checkpoints that could not be deleted.
    """

    status: CheckpointStatus
    oldest_position: str
    undeleted: tuple[Path, ...] = ()


def disk_free(root: Path) -> int | None:
    """Bytes that are free where a directory is, or will be; None where that cannot be found out."""
    for place in (root, *root.parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


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
        self._buffers = CopyBuffers()
        self._making_room: Future[None] | None = None
        self._writing: Future[Saved] | None = None
        self.failures = 0
        """Checkpoints that could not be written, or earlier ones that could not be deleted."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    @property
    def busy(self) -> bool:
        """Whether nothing can be begun: buffers are being made, or the end of the last one has not been asked for."""
        making = self._making_room is not None and not self._making_room.done()
        return making or self._writing is not None

    def disk_free(self) -> int | None:
        """Bytes that are free where the checkpoints are; None where that cannot be found out."""
        return disk_free(self._root)

    def begin(self, tensors: Mapping[str, Tensor], values: Mapping[str, object], *, now: bool = False) -> bool:
        """Copy a state and start to write the copy; the tensors may change afterwards.

        Copying into memory that is there already holds the caller up least. So where there is too little of it, memory
        is taken in the background instead, unless it must be ``now``. A state that has outgrown that memory meanwhile
        is copied all the same: one that grows from turn to turn would never be written otherwise.

        Returns:
            Whether this is done with until the next checkpoint is due, copied or failed; False asks for a later call,
            with the state of then.
        """
        try:
            making, self._making_room = self._making_room, None
            if making is not None:
                making.result()
            elif not now and not self._buffers.holds(tensors):
                self._making_room = self._thread.submit(self._buffers.make, dict(tensors))
                return False
            self._writing = self._thread.submit(self._write, self._buffers.copy(tensors), values)
        except Exception as error:
            self._fail("the state could not be copied for a checkpoint; serving goes on", error)
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
            saved = writing.result()
        except Exception as error:
            self._fail("the checkpoint could not be written; serving goes on", error)
            return None
        if saved.undeleted:
            self.failures += 1
            paths = [str(path) for path in saved.undeleted]
            log.error("old checkpoints could not be deleted: delete them by hand", paths=paths)
        return saved

    def _fail(self, what: str, error: Exception) -> None:
        self.failures += 1
        # The one line of an OSError is enough.
        log.error(what, error=str(error) or type(error).__name__, exc_info=not isinstance(error, OSError))

    def _write(self, tensors: Mapping[str, Tensor], values: Mapping[str, object]) -> Saved:
        path = write_checkpoint(self._root, tensors, values, self._keep)
        position = str(values["position"])
        status = CheckpointStatus(position=position, written_at=time.time(), path=str(path))
        undeleted = tuple(list_checkpoints(self._root)[: -self._keep])
        return Saved(status, oldest_position(self._root, self._keep) or position, undeleted)
