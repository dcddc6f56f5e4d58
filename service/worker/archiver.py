"""The archive beside the loop: entries are written in a thread, and the loop trims the log after that."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog
from redis.exceptions import RedisError

from service.archive.place import ArchiveUnusable
from service.archive.writer import ArchiveWriter, OtherHistory
from service.store.positions import START, parse_position
from service.store.status import ArchiveStatus
from service.worker.clock import Clock

log = structlog.get_logger(__name__)

RETRY_AFTER_S = 5.0
"""After a failure, or where few entries wait for more, the next attempt is made after so many seconds."""


@dataclass(frozen=True)
class _Done:
    """What one run of the thread has done: the log may be trimmed up to ``position``."""

    position: str
    wrote: bool


class Archiver:
    """Writes to the archive in a thread of its own. After a failure the log is not trimmed, and it is tried again.

    Args:
        writer: writes.
        clock: for the next attempt.
    """

    def __init__(self, writer: ArchiveWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="archive")
        self._running: Future[_Done] | None = None
        self._wanted: str | None = None
        self._not_before = 0.0
        self._failures = 0
        self._problem: str | None = None
        self._written_at: float | None = None
        self._trimmable = START

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    @property
    def status(self) -> ArchiveStatus:
        """As the worker reports it."""
        return ArchiveStatus(
            place=self._writer.place.name,
            position=self._writer.position,
            written_at=self._written_at,
            failures=self._failures,
            problem=self._problem,
        )

    def want(self, position: str) -> None:
        """Have the entries up to a position written: they are to be trimmed."""
        self._wanted = position

    def follow(self) -> str | None:
        """The position up to which the log may be trimmed, where that is new. Begins a run where one is due."""
        trimmable = self._take_result()
        if self._running is None and self._wanted is not None and self._clock.monotonic() >= self._not_before:
            self._running = self._thread.submit(self._archive, self._wanted)
        return trimmable

    def end_run(self) -> None:
        """Wait until the run that has begun is over."""
        if self._running is not None:
            self._running.exception()

    def archive_now(self, position: str) -> None:
        """Write all entries up to a position before this returns.

        Raises:
            ArchiveUnusable: the archive cannot be written.
            OtherHistory: it holds the history of another log.
        """
        self.end_run()
        self._thread.submit(self._writer.archive, position, everything=True).result()

    def _take_result(self) -> str | None:
        if self._running is None or not self._running.done():
            return None
        running, self._running = self._running, None
        self._not_before = self._clock.monotonic() + RETRY_AFTER_S
        try:
            done = running.result()
        except (RedisError, ConnectionError, TimeoutError):
            return None  # The loop finds out by itself that Redis is unavailable.
        except Exception as error:
            self._fail(error)
            return None
        self._problem = None
        if done.wrote:
            self._written_at = self._clock.wall()
        assert self._wanted is not None, "it was wanted"
        if parse_position(done.position) >= parse_position(self._wanted):
            self._wanted, self._not_before = None, 0.0
        if parse_position(done.position) <= parse_position(self._trimmable):
            return None
        self._trimmable = done.position
        return done.position

    def _archive(self, position: str) -> _Done:
        before = self._writer.begin()
        found = self._writer.archive(position)
        return _Done(found, wrote=self._writer.position != before)

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        expected = isinstance(error, ArchiveUnusable | OtherHistory)
        self._problem = str(error) or type(error).__name__
        log.error("entries could not be archived; the log is not trimmed", error=self._problem, exc_info=not expected)
