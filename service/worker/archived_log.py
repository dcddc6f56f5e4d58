"""The log of a variant that begins before the log's first entry: what was trimmed is read from an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from olad_core.schema import HeldSchema
from service.archive.history import History, HistoryBroken
from service.archive.segment import Segment
from service.store.fence import LogLost
from service.store.log_reader import Entry, LogReader, entry_of
from service.store.positions import START, parse_position, position_text


class ArchivedLog:
    """A log whose entries up to the end of an archive are those of the archive.

    Args:
        log: in Redis.
        open_history: what the archive holds now.
    """

    def __init__(self, log: LogReader, open_history: Callable[[], History]) -> None:
        self._log = log
        self._open_history = open_history
        self._segments: Iterator[Segment] = iter(())
        self._entries: list[Entry] = []
        # The position after which the next archived entry comes, and that of the last one.
        self._at, self._until = START, parse_position(START)

    def require(self, position: str) -> None:
        """See that nothing is missing after a position, in the archive and then in Redis.

        Raises:
            LogLost: entries are missing.
        """
        self._until = parse_position(START)
        try:
            self._log.require(position)
        except LogLost as lost:
            history = self._open_history()
            try:
                steps = list(history.steps(parse_position(position), history.left_out))
            except HistoryBroken as broken:
                raise LogLost(f"{lost}; and {broken}") from lost
            if not steps:
                raise LogLost(f"{lost}; and the archive {history.place.name} holds nothing after it") from lost
            # What was trimmed after the last segment is missing; else Redis continues where the archive ends.
            self._log.require(position_text(steps[-1].span.last))
            self._segments = history.segments(parse_position(position), history.left_out)
            self._entries, self._at, self._until = [], position, steps[-1].span.last

    def read(self, after: str, *, max_events: int) -> list[Entry]:
        """As of :class:`~service.store.log_reader.LogReader`.

        Raises:
            HistoryBroken: a segment of the archive is damaged.
        """
        if parse_position(after) >= self._until:
            return self._log.read(after, max_events=max_events)
        if after != self._at:
            self.require(after)  # The state has gone back to a checkpoint.
        self._fill()
        taken, events = 0, 0
        while taken < len(self._entries) and (not taken or events < max_events):
            events += self._entries[taken].count
            taken += 1
        found, self._entries = self._entries[:taken], self._entries[taken:]
        self._at = found[-1].position
        return found

    def adopt(self, position: str, applied_events: int, schema: HeldSchema) -> int:
        """As of :class:`~service.store.log_reader.LogReader`."""
        return self._log.adopt(position, applied_events, schema)

    def skipped(self) -> dict[str, str]:
        """As of :class:`~service.store.log_reader.LogReader`; an archived entry names itself why it is not applied."""
        return self._log.skipped()

    def skip(self, position: str, reason: str) -> None:
        """As of :class:`~service.store.log_reader.LogReader`."""
        self._log.skip(position, reason)

    def trim_before(self, position: str) -> int:
        """As of :class:`~service.store.log_reader.LogReader`."""
        return self._log.trim_before(position)

    def _fill(self) -> None:
        """Have the next archived entries at hand: there are some, as the position of the last one is not reached."""
        while not self._entries:
            segment = next(self._segments)
            skipped = segment.header.skipped
            entries = [entry_of(position, fields) for position, fields in segment.entries]
            self._entries = [replace(entry, problem=skipped.get(entry.position, entry.problem)) for entry in entries]
