"""Writes checkpoints of all ranks: each its part beside the loop, then the first rank the manifest."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec
import numpy as np
import structlog

from service.partitioned.follower import Follower
from service.partitioned.part_files import (
    FORMAT,
    Manifest,
    folder_of,
    list_complete,
    next_number,
    write_manifest,
    write_part,
    write_shared,
)
from service.store.status import CheckpointStatus
from service.worker.checkpointer import disk_free

log = structlog.get_logger(__name__)

Stage = Literal["none", "writing", "written", "failed"]


class PartWritten(msgspec.Struct, frozen=True):
    """How far a rank is with the checkpoint that is being written.

    Attributes:
        stage: ``none`` while none is.
        sha256: checksums of the files that it has written, by path.
    """

    stage: Stage = "none"
    sha256: dict[str, str] = {}


@dataclass(frozen=True)
class _Begun:
    number: int
    position: str
    writing: Future[dict[str, str]]


class RankCheckpoints:
    """One rank's writer of checkpoints.

    Args:
        root: directory of the checkpoints, which all ranks share.
        rank: this one.
        ranks: how many there are.
        keep: complete checkpoints that are kept.
    """

    def __init__(self, root: Path, rank: int, ranks: int, keep: int) -> None:
        self._root, self._rank, self._ranks, self._keep = root, rank, ranks, keep
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._begun: _Begun | None = None
        self.failures = 0
        """Checkpoints that could not be written since the start."""
        self.newest: CheckpointStatus | None = None
        """The newest one of this start; known to the first rank."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    def next_number(self) -> int:
        """The number of the next checkpoint, for all ranks."""
        return next_number(self._root)

    def disk_free(self) -> int | None:
        """Bytes that are free where the checkpoints of all ranks are; None where that cannot be found out."""
        return disk_free(self._root)

    def begin(self, number: int, follower: Follower) -> None:
        """Copy this rank's state and begin to write the copy."""
        serving, counts = follower.serving.state(), follower.counts
        arrays = {name: np.array(array) for name, array in (follower.partition.state() | serving.own).items()}
        values = (
            serving.values
            | follower.rule_state()
            | {
                "position": counts.position,
                "applied_events": counts.applied,
                "rejected_events": counts.rejected,
            }
        )
        folder = folder_of(self._root, number)

        def write() -> dict[str, str]:
            written = write_part(folder, self._rank, arrays)
            return written | write_shared(folder, serving.tensors, values) if self._rank == 0 else written

        self._begun = _Begun(number, counts.position, self._thread.submit(write))

    def stage(self, *, wait: bool = False) -> PartWritten:
        """How far this rank is.

        Args:
            wait: whether to wait until it has written its part.
        """
        begun = self._begun
        if begun is None:
            return PartWritten()
        if not wait and not begun.writing.done():
            return PartWritten("writing")
        try:
            return PartWritten("written", begun.writing.result())
        except Exception as error:
            log.error("the part could not be written; serving goes on", error=str(error) or type(error).__name__)
            return PartWritten("failed")

    def follow(self, stages: list[PartWritten]) -> str | None:
        """End the checkpoint once no rank writes any more.

        Args:
            stages: of all ranks.

        Returns:
            At the first rank, once a checkpoint is complete: the position of the oldest one that is kept, from which
            on the log is needed. Else None.
        """
        begun = self._begun
        if begun is None or any(each.stage in {"none", "writing"} for each in stages):
            return None
        self._begun = None
        if any(each.stage == "failed" for each in stages):
            self.failures += 1
            return None
        return self._complete(begun, stages) if self._rank == 0 else None

    def _complete(self, begun: _Begun, stages: list[PartWritten]) -> str | None:
        files: Mapping[str, str] = {name: digest for each in stages for name, digest in each.sha256.items()}
        manifest = Manifest(FORMAT, self._ranks, begun.position, dict(files))
        try:
            path = write_manifest(self._root, begun.number, manifest, self._keep)
        except OSError as error:
            self.failures += 1
            log.error("the checkpoint could not be completed; serving goes on", error=str(error))
            return None
        self.newest = CheckpointStatus(position=begun.position, written_at=time.time(), path=str(path))
        return list_complete(self._root)[0].manifest.position
