"""Reading an archive: which positions it holds, what is missing, and its entries in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from olad_core.errors import OladError
from service.archive.left_out import LeftOut, is_left_out, left_out_of
from service.archive.place import Place
from service.archive.segment import DamagedSegment, Segment, Span, decode, span_of
from service.store.positions import PositionPair, parse_position
from service.store.raw_log import RawEntry


class HistoryBroken(OladError, RuntimeError):
    """Entries are missing or damaged in an archive; the message names their positions and what to do."""

    def __init__(self, place: Place, after: PositionPair, last: PositionPair, reason: str) -> None:
        self.missing = LeftOut((after[0], after[1] + 1), last)
        super().__init__(
            f"the archive {place.name} does not hold the entries at {self.missing}: {reason}. Put the file back from a "
            f"copy of the archive, or go on without these entries: --without {self.missing}"
        )


@dataclass(frozen=True)
class Step:
    """The next segment to read, and where it begins to be of use."""

    span: Span
    after: PositionPair


class History:
    """The archived entries of one graph, as they are when this is made.

    Two segments may hold the same entries, where two workers wrote at the same time. Each entry is read once.

    Args:
        place: the graph's folder in the archive.

    Raises:
        ArchiveUnusable: the place cannot be read.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        names = place.names()
        self.spans = sorted(span for name in names if (span := span_of(name)) is not None)
        """Of all segments, in order."""
        self.last = max((span.last for span in self.spans), default=None)
        """Position of the last archived entry; None where there is none."""
        self.left_out = tuple(sorted(found for name in names if (found := left_out_of(name)) is not None))
        """Ranges that the history is without, as an earlier rebuild has decided."""

    def steps(self, after: PositionPair = (0, 0), left_out: Sequence[LeftOut] = ()) -> Iterator[Step]:
        """The segments to read after a position, in order.

        Raises:
            HistoryBroken: one is missing, and its entries are not all left out.
        """
        at, best, number = after, None, 0
        while self.last is not None and at < self.last:
            while number < len(self.spans) and self.spans[number].after <= at:
                best = max(best or self.spans[number], self.spans[number], key=lambda span: span.last)
                number += 1
            if best is not None and best.last > at:
                if not _are_left_out(left_out, at, best.last):
                    yield Step(best, at)
                at = best.last
                continue
            begins = self.spans[number].after
            if not _are_left_out(left_out, at, begins):
                reason = "no segment holds them" if at > (0, 0) else "the archive begins after them"
                raise HistoryBroken(self.place, at, begins, reason)
            at = begins

    def read(self, step: Step, left_out: Sequence[LeftOut] = ()) -> Segment:
        """The entries of a segment that come after all before it and are not left out.

        Raises:
            HistoryBroken: the segment is damaged.
        """
        name = step.span.name
        try:
            whole = decode(name, self.place.read(name))
        except DamagedSegment as damaged:
            raise HistoryBroken(self.place, step.after, step.span.last, str(damaged)) from damaged
        return Segment(whole.header, [entry for entry in whole.entries if _is_wanted(entry, step.after, left_out)])

    def segments(self, after: PositionPair = (0, 0), left_out: Sequence[LeftOut] = ()) -> Iterator[Segment]:
        """All segments after a position, checked, each with the entries that no earlier one holds.

        Args:
            after: a position.
            left_out: ranges that are passed over; a segment that is missing or damaged may be among them.

        Raises:
            HistoryBroken: one is missing or damaged.
        """
        for step in self.steps(after, left_out):
            yield self.read(step, left_out)


def _are_left_out(left_out: Sequence[LeftOut], after: PositionPair, last: PositionPair) -> bool:
    return any(span.covers(after, last) for span in left_out)


def _is_wanted(entry: RawEntry, after: PositionPair, left_out: Sequence[LeftOut]) -> bool:
    position = parse_position(entry[0].decode())
    return position > after and not is_left_out(position, left_out)
