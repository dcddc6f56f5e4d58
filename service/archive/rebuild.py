"""The log of a graph out of its archive, and what the log in Redis still holds after that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from olad_core.errors import OladError
from olad_core.event_codec import decode_log
from olad_core.events import GraphSchema
from olad_core.schema import HeldSchema, SchemaConflict, after_declaration, after_events, labels_in
from service.archive.history import History, HistoryBroken
from service.archive.left_out import LeftOut, is_left_out
from service.archive.segment import events_of, named
from service.store.entry_format import require_known
from service.store.log_rebuilder import LogRebuilder
from service.store.positions import START, PositionPair, parse_position, position_text
from service.store.raw_log import RawEntry

_MOST_CLASSES = 10**9
"""The limit was kept when the entries came."""


class NothingToRebuild(OladError, RuntimeError):
    """There are no entries, neither in the archive nor in the log."""


@dataclass(frozen=True)
class Rebuilt:
    """What a log was made of.

    Attributes:
        last: position of its last entry.
        archived: entries out of the archive.
        kept: entries that the log in Redis still held after those.
        events: events in all of them.
    """

    last: str
    archived: int
    kept: int
    events: int


@dataclass
class _Sums:
    """What Redis keeps beside a log."""

    schema: HeldSchema = field(default_factory=HeldSchema)
    classes: dict[str, None] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    events: int = 0
    last: str = START

    def add(self, entries: Iterable[RawEntry]) -> None:
        for position, fields in entries:
            entry = named(fields)
            self.last = position.decode()
            require_known(self.last, entry.get(b"v"))
            self.events += events_of(fields)
            if b"schema" in entry:
                self._declare(entry[b"schema"])
            elif b"events" in entry:
                self._take(entry[b"events"])

    def _declare(self, declaration: bytes) -> None:
        try:
            change = GraphSchema.model_validate_json(declaration)
            self.schema = after_declaration(self.schema, change, _MOST_CLASSES)
        except (ValueError, SchemaConflict):
            return  # The worker rejects it as well.
        self.classes.update(dict.fromkeys(self.schema.classes))

    def _take(self, batch: bytes) -> None:
        try:
            events = decode_log(batch)
        except (msgspec.MsgspecError, ValueError):
            return  # The worker sets it aside.
        self.schema = after_events(self.schema, events)
        self.classes.update(labels_in(events))


def rebuild(
    history: History,
    log: LogRebuilder,
    trimmed: str,
    left_out: Sequence[LeftOut] = (),
    on_progress: Callable[[PositionPair], None] = lambda _position: None,
) -> Rebuilt:
    """Make the log anew.

    Args:
        history: the archive.
        log: where to make it.
        trimmed: position up to which the log that is there was trimmed.
        left_out: ranges of positions to leave out, beside those that the archive records.
        on_progress: called with the last position of each segment that was read.

    Raises:
        HistoryBroken: entries are missing or damaged; the log that is there is as it was.
        NothingToRebuild: there are no entries at all.
        UnknownEntryFormat: an entry is of a later release.
    """
    without = (*history.left_out, *left_out)
    log.clear()
    try:
        return _rebuild(history, log, parse_position(trimmed), without, on_progress)
    except BaseException:
        log.clear()
        raise


def _rebuild(
    history: History,
    log: LogRebuilder,
    trimmed: PositionPair,
    without: Sequence[LeftOut],
    on_progress: Callable[[PositionPair], None],
) -> Rebuilt:
    sums, archived, kept = _Sums(), 0, 0
    for segment in history.segments(left_out=without):
        log.add(segment.entries)
        sums.add(segment.entries)
        there = {position.decode() for position, _ in segment.entries}
        sums.skipped.update({at: why for at, why in segment.header.skipped.items() if at in there})
        archived += len(segment.entries)
        on_progress(parse_position(segment.header.last))
    end = history.last or parse_position(START)
    _require_no_gap(history, end, trimmed, without)
    at = position_text(end)
    while True:
        copied_to = log.last()
        while entries := log.rest(at, copied_to):
            at = entries[-1][0].decode()
            wanted = [entry for entry in entries if not is_left_out(parse_position(entry[0].decode()), without)]
            log.add(wanted)
            sums.add(wanted)
            kept += len(wanted)
        if sums.last == START:
            raise NothingToRebuild(f"the archive {history.place.name} holds no entries, and neither does the log")
        spans = [str(span) for span in without]
        if log.swap(copied_to, sums.last, sums.events, sums.schema, [*sums.classes], sums.skipped, spans):
            return Rebuilt(sums.last, archived, kept, sums.events)


def _require_no_gap(history: History, end: PositionPair, trimmed: PositionPair, without: Sequence[LeftOut]) -> None:
    if trimmed > end and not any(span.covers(end, trimmed) for span in without):
        raise HistoryBroken(history.place, end, trimmed, "the log in Redis was trimmed behind the end of the archive")
