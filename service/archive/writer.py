"""Writing the archive: the entries that may be trimmed, in segments, each once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

import structlog

from olad_core.errors import OladError
from service.archive.history import History
from service.archive.left_out import is_left_out, parse_left_out
from service.archive.place import Place
from service.archive.segment import encode, size_of
from service.store.positions import START, PositionPair, parse_position, position_text
from service.store.raw_log import RawEntry

log = structlog.get_logger(__name__)

SEGMENT_BYTES = 8_000_000
"""A segment ends with the entry that reaches so many bytes before compression."""
SMALL_BYTES = 1_000_000
"""Entries of fewer bytes together wait until more have come, or until the interval has passed."""


class OtherHistory(OladError, RuntimeError):
    """The archive holds another log than the one in Redis: writing to it would mix both."""


class ReadableLog(Protocol):
    """What the archive needs of the log: :class:`service.store.raw_log.RawLog`."""

    def read(self, after: str, up_to: str) -> list[RawEntry]:
        """The next entries after a position, but none after ``up_to``."""

    def trimmed(self) -> str:
        """Position up to which the log has been trimmed."""

    def holds(self, position: str) -> bool:
        """Whether there is an entry at a position."""

    def skipped(self) -> dict[str, str]:
        """Positions of the entries that cannot be applied, each with the reason."""

    def left_out(self) -> list[str]:
        """Ranges of positions that a rebuilt log is without."""

    def is_newest(self) -> bool:
        """Whether no later worker has started."""


class ArchiveWriter:
    """Writes what the log holds to an archive, after what the archive holds.

    The position after which it goes on is read from the names of the segments. So a crash at any point loses nothing
    and repeats nothing: a segment is there whole or not at all, and the log is trimmed only after it is there.

    Args:
        place: the graph's folder.
        graph: its name.
        event_log: the log.
        monotonic: the time in seconds, for the interval.
        interval_s: how long few entries may wait.
        stopped: asked between two segments; True ends the work.
    """

    def __init__(
        self,
        place: Place,
        graph: str,
        event_log: ReadableLog,
        monotonic: Callable[[], float],
        interval_s: float,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.place = place
        self._graph = graph
        self._log = event_log
        self._monotonic = monotonic
        self._interval_s = interval_s
        self._stopped = stopped
        self._written_at = monotonic()
        self._position: str | None = None

    @property
    def position(self) -> str | None:
        """Position up to which every entry is archived; None where that has not been found out yet."""
        return self._position

    def begin(self) -> str:
        """Find out after which position the archive goes on, where that is not known or entries are missing since.

        Raises:
            ArchiveUnusable: the place cannot be used.
            OtherHistory: the archive and the log do not belong together.
        """
        known = self._position
        if known is None or parse_position(self._log.trimmed()) > parse_position(known):
            known = self._position = self._first_position()
        return known

    def archive(self, up_to: str, *, everything: bool = False) -> str:
        """Write entries up to a position.

        Args:
            up_to: the position.
            everything: whether few entries do not wait for more.

        Returns:
            The position up to which the log may be trimmed now, which may be an earlier one.

        Raises:
            ArchiveUnusable: the place cannot be used.
            OtherHistory: the archive and the log do not belong together.
        """
        at, end = self.begin(), parse_position(up_to)
        while parse_position(at) < end:
            entries, is_last = self._next_entries(at, up_to)
            if not entries:
                return up_to
            waits = is_last and not everything and self._monotonic() - self._written_at < self._interval_s
            if (waits and sum(map(size_of, entries)) < SMALL_BYTES) or self._stopped() or not self._log.is_newest():
                return at
            name, content = encode(self._graph, at, entries, self._log.skipped())
            self.place.write(name, content)
            self._written_at = self._monotonic()
            at = self._position = entries[-1][0].decode()
        return up_to

    def _next_entries(self, after: str, up_to: str) -> tuple[list[RawEntry], bool]:
        """The entries of the next segment, and whether no further ones follow up to ``up_to``."""
        entries: list[RawEntry] = []
        size = 0
        while size < SEGMENT_BYTES:
            more = self._log.read(entries[-1][0].decode() if entries else after, up_to)
            if not more:
                return entries, True
            entries += more
            size += sum(map(size_of, more))
        return entries, False

    def _first_position(self) -> str:
        self.place.clear_parts()
        history, trimmed = History(self.place), self._log.trimmed()
        if history.last is None:
            if trimmed != START:
                log.warning("the archive begins after entries that are trimmed", archive=self.place.name, after=trimmed)
            return trimmed
        last = position_text(history.last)
        if parse_position(trimmed) > history.last:
            log.error(
                "entries were trimmed that are not in the archive: a checkpoint is needed to restore the graph",
                archive=self.place.name,
                after=last,
                up_to=trimmed,
            )
            return trimmed
        if trimmed != last and not self._log.holds(last) and not self._is_left_out(history.last):
            raise OtherHistory(
                f"the archive {self.place.name} goes up to {last}, and the log in Redis does not hold that entry: "
                "bring the log back with `olad rebuild`, or set OLAD_ARCHIVE to an empty folder"
            )
        self._record_left_out(history)
        return last

    def _is_left_out(self, position: PositionPair) -> bool:
        return is_left_out(position, map(parse_left_out, self._log.left_out()))

    def _record_left_out(self, history: History) -> None:
        """Record in the archive what the log was rebuilt without, so that later readers leave it out too."""
        known = {str(span) for span in history.left_out}
        for span in self._log.left_out():
            if span not in known:
                record = {"left_out": span, "graph": self._graph}
                self.place.write(parse_left_out(span).name, json.dumps(record).encode())
