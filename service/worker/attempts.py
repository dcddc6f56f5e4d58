"""Which entries are being applied, in a file that outlives the process: an entry that kills the worker is set aside.

Nothing can be caught when the system kills the worker for memory. So the worker writes down which entries it applies
before it begins, and clears that when they are applied and published. The next start finds the mark of one that was
killed:

- A mark over several entries: they are applied alone, one after the other, until all of them have passed.
- A mark over one entry: its application was begun and never ended. A death while it was applied counts 2, a death
  while what it changed was published counts 1. With 4 it is set aside.

The worker may also be killed by an operator, or by a supervisor. That sets nothing aside unless two starts **in a row**
end while the same single entry is applied: a start that ends anywhere else, or gets past the entry, counts from the
beginning. A publication waits for Redis, and that is when operators kill; therefore it counts half. After SIGTERM
nothing is marked: a kill that follows is that of a supervisor whose patience has ended. Two kills without SIGTERM
within the application of one entry cannot be distinguished from an entry that needs too much memory.

Not covered: reading an entry, which is bounded by the size of a body, training, and the first publication after a
start, which holds all predictions. The file belongs to a data directory: workers with different ones count for
themselves. It is never flushed, because the page cache outlives a killed process. A machine that loses its power
forgets a death.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import structlog

from service.store.log_reader import Entry
from service.store.positions import START, PositionPair, parse_position, position_text

log = structlog.get_logger(__name__)

KILLED = (
    "the worker was killed at one start after the other while it applied this entry or published what it changed "
    "(out of memory?)"
)
"""Why an entry is set aside, for those who read the rejected events."""
DEATH_WHILE_APPLIED = 2
DEATH_WHILE_PUBLISHED = 1
DEATHS_AT_MOST = 4
"""What the deaths of an entry may count together before it is set aside."""

_MAGIC = b"OLADATT1"
_LAYOUT = struct.Struct("<8s8QBB")
_CHECKSUM = struct.Struct("<I")
_SIZE = _LAYOUT.size + _CHECKSUM.size
_NOWHERE = parse_position(START)

Span: TypeAlias = tuple[PositionPair, PositionPair]
"""From a first to a last position, both included."""


@dataclass(frozen=True)
class Page:
    """What stands in the file.

    Attributes:
        marked: entries that are being applied; None between two turns.
        publishing: whether they are applied already, and what they changed is being published.
        deaths: what the earlier deaths of a single marked entry count.
        alone: entries that are to be applied one after the other.
    """

    marked: Span | None = None
    publishing: bool = False
    deaths: int = 0
    alone: Span | None = None

    def pack(self) -> bytes:
        """The bytes of the file."""
        spans = [number for span in (self.marked, self.alone) for pair in _or_nowhere(span) for number in pair]
        content = _LAYOUT.pack(_MAGIC, *spans, self.publishing, min(self.deaths, 255))
        return content + _CHECKSUM.pack(zlib.crc32(content))

    @classmethod
    def unpack(cls, packed: bytes) -> Page | None:
        """What stands in these bytes; None where they are damaged, or not from here."""
        content, checksum = packed[: _LAYOUT.size], packed[_LAYOUT.size :]
        if len(packed) != _SIZE or checksum != _CHECKSUM.pack(zlib.crc32(content)):
            return None
        magic, *numbers, publishing, deaths = _LAYOUT.unpack(content)
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        marked, alone = (None if last == _NOWHERE else (first, last) for first, last in (pairs[:2], pairs[2:]))
        return cls(marked, bool(publishing), deaths, alone) if magic == _MAGIC else None


class Attempts:
    """The file of one graph, and what follows from it.

    Where the file cannot be used, the worker works without it, and logs a warning.

    Args:
        path: of the file; made where it is missing. One process at a time uses it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._alone: Span | None = None
        self._suspect: PositionPair | None = None
        self._deaths = 0
        self._page = Page()
        self._excused = False
        self._descriptor: int | None = None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor, packed = _open(path)
        except OSError as error:
            self._give_up(error)
            return
        page = Page.unpack(packed)
        if page is None and packed:
            log.warning("ignored a damaged file", path=str(path))
        self._follow(page or Page())

    def close(self) -> None:
        """Give the file up, with what stands in it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def killer(self) -> str | None:
        """Position of the entry to set aside, until it has passed."""
        if self._suspect is None or self._deaths < DEATHS_AT_MOST:
            return None
        return position_text(self._suspect)

    def isolate(self, entries: Sequence[Entry]) -> None:
        """Let these entries be applied alone from now on, and any between them and those that are alone already."""
        self._alone = _hull(self._alone, _span(entries))

    def is_isolated(self, entries: Sequence[Entry]) -> bool:
        """Whether this is a turn of one entry that was to be applied alone."""
        first, last = _span(entries)
        return first == last and self._alone is not None and self._alone[0] <= first <= self._alone[1]

    def is_within(self, position: str) -> bool:
        """Whether the entry after a position is to be applied alone, as far as that is known before it is read."""
        return self._alone is not None and self._alone[0] <= parse_position(position) < self._alone[1]

    def first_turn(self, entries: list[Entry]) -> list[Entry]:
        """The first of these entries that are applied in one turn: one that is to be alone, or all before it."""
        if self._alone is None or not entries:
            return entries
        first, last = self._alone
        if parse_position(entries[0].position) > last:
            return entries
        before = bisect_left(entries, first, key=lambda entry: parse_position(entry.position))
        return entries[: max(1, before)]

    @contextlib.contextmanager
    def applying(self, entries: Sequence[Entry]) -> Iterator[None]:
        """Mark the entries of one turn while they are applied.

        An exception clears the mark too: the process lives, and what failed is dealt with otherwise.
        """
        span = _span(entries)
        deaths = self._deaths if span == (self._suspect, self._suspect) else 0
        self._write(Page(span, False, deaths, self._alone))
        try:
            yield
            if self._suspect is not None and self._suspect <= span[1]:
                self._suspect, self._deaths = None, 0
            if self._alone is not None and self._alone[1] <= span[1]:
                self._alone = None
        finally:
            self._write(Page(alone=self._alone))

    def publishing(self) -> None:
        """Note that the marked entries are applied, and that what they changed is being published."""
        self._write(Page(self._page.marked, True, self._page.deaths, self._page.alone))

    def excuse(self) -> None:
        """Mark nothing any more, for a stop was asked for; may be called in a signal handler."""
        self._excused = True
        self._write(Page(alone=self._alone))

    def _follow(self, page: Page) -> None:
        """Draw the conclusions from what the last process has left."""
        self._alone = page.alone
        if page.marked is None:
            return
        first, last = page.marked
        self._alone = _hull(page.alone, page.marked)
        if first != last:
            log.warning(
                "the last worker ended while it applied entries: they are applied one by one",
                first=position_text(first),
                last=position_text(last),
            )
            return
        self._suspect = first
        self._deaths = page.deaths + (DEATH_WHILE_PUBLISHED if page.publishing else DEATH_WHILE_APPLIED)
        log.warning(
            "the last worker ended while it applied an entry",
            position=position_text(first),
            while_published=page.publishing,
            deaths_count=self._deaths,
            at_most=DEATHS_AT_MOST,
        )

    def _write(self, page: Page) -> None:
        """Replace what stands in the file, in one call: a kill leaves the old or the new."""
        if self._descriptor is None:
            return
        if self._excused and page.marked is not None:
            return
        self._page = page
        try:
            os.pwrite(self._descriptor, page.pack(), 0)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Go on without the file. A mark that cannot be cleared any more must not be found by the next start."""
        log.warning("an entry that kills the worker will not be noticed", path=str(self._path), error=str(error))
        if self._descriptor is not None:
            self.close()
            with contextlib.suppress(OSError):
                self._path.unlink()


def _open(path: Path) -> tuple[int, bytes]:
    """The file, locked, and what stands in it.

    Where another process has it locked, that one was superseded and lives: its mark is no death. It keeps its file,
    and a new one takes the place.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            path.unlink()
            replaced = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.close(descriptor)
            descriptor = replaced
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        packed = os.pread(descriptor, _SIZE + 1, 0)
        if packed and Page.unpack(packed) is None:
            os.ftruncate(descriptor, 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor, packed


def _span(entries: Sequence[Entry]) -> Span:
    return parse_position(entries[0].position), parse_position(entries[-1].position)


def _hull(some: Span | None, others: Span) -> Span:
    return others if some is None else (min(some[0], others[0]), max(some[1], others[1]))


def _or_nowhere(span: Span | None) -> Span:
    return span or (_NOWHERE, _NOWHERE)
