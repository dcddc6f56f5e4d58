"""A segment of the archive: entries of the log between two positions, compressed, with a checksum.

A segment is one file. Its first line has the format and the SHA-256 of all that follows. The second line is a header
in JSON. The rest is the entries, as MessagePack compressed by zlib. The same entries give the same bytes.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from olad_core.errors import OladError
from service.store.positions import PositionPair, parse_position, position_text
from service.store.raw_log import RawEntry

FORMAT = 1
"""The latest format that this release reads and writes."""
_LEVEL = 1
_FIRST_LINE = re.compile(rb"olad-archive (\d{1,9}) ([0-9a-f]{64})")
_NAME = re.compile(r"(\d{1,20}-\d{1,20})_(\d{1,20}-\d{1,20})\.segment", re.ASCII)
_ENTRIES = msgspec.msgpack.Decoder(list[tuple[bytes, list[bytes]]])


class DamagedSegment(OladError, ValueError):
    """A segment that is not as it was written, or that this release cannot read."""


@dataclass(frozen=True, order=True)
class Span:
    """The entries after a position, up to another one included.

    Attributes:
        after: the position before the first entry.
        last: position of the last entry.
    """

    after: PositionPair
    last: PositionPair

    @property
    def name(self) -> str:
        """Name of the segment that holds them.

        >>> Span((0, 0), (1700000000000, 3)).name
        '0-0_1700000000000-3.segment'
        """
        return f"{position_text(self.after)}_{position_text(self.last)}.segment"


def span_of(name: str) -> Span | None:
    """The entries that a file of this name holds; None where it is no segment.

    >>> span_of("0-0_1700000000000-3.segment")
    Span(after=(0, 0), last=(1700000000000, 3))
    >>> span_of(".0-0_1700000000000-3.segment.part") is None
    True
    """
    match = _NAME.fullmatch(name)
    try:
        span = Span(parse_position(match[1]), parse_position(match[2])) if match else None
    except ValueError:
        return None
    return span if span is not None and span.name == name and span.after < span.last else None


@dataclass(frozen=True)
class Header:
    """What is known of a segment without its entries.

    Attributes:
        graph: name of the graph.
        after: the position before the first entry.
        first: position of the first entry.
        last: position of the last entry.
        entries: how many there are.
        events: how many events they hold.
        arrivals: seconds at which the first and the last entry came.
        bytes: size of the entries before compression.
        skipped: positions of entries that the worker had set aside, each with the reason.
    """

    graph: str
    after: str
    first: str
    last: str
    entries: int
    events: int
    arrivals: tuple[float, float]
    bytes: int
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Segment:
    """A header and the entries."""

    header: Header
    entries: list[RawEntry]


def events_of(fields: Sequence[bytes]) -> int:
    """The number of events that an entry was counted with."""
    count = named(fields).get(b"n", b"")
    return int(count) if count.isdigit() else 0


def size_of(entry: RawEntry) -> int:
    """Bytes of an entry."""
    position, fields = entry
    return len(position) + sum(map(len, fields))


def encode(graph: str, after: str, entries: Sequence[RawEntry], skipped: Mapping[str, str]) -> tuple[str, bytes]:
    """The segment of some entries.

    Args:
        graph: name of the graph.
        after: the position before the first entry.
        entries: at least one, in order.
        skipped: of the whole log.

    Returns:
        Its name and its content.
    """
    body = msgspec.msgpack.encode(entries)
    positions = [position.decode() for position, _ in entries]
    header = Header(
        graph=graph,
        after=after,
        first=positions[0],
        last=positions[-1],
        entries=len(entries),
        events=sum(events_of(fields) for _, fields in entries),
        arrivals=(_arrival(entries[0]), _arrival(entries[-1])),
        bytes=len(body),
        skipped={position: skipped[position] for position in positions if position in skipped} if skipped else {},
    )
    content = msgspec.json.encode(header) + b"\n" + zlib.compress(body, _LEVEL)
    digest = hashlib.sha256(content).hexdigest()
    name = Span(parse_position(after), parse_position(header.last)).name
    return name, f"olad-archive {FORMAT} {digest}\n".encode() + content


def decode(name: str, content: bytes) -> Segment:
    """A segment out of its file.

    Raises:
        DamagedSegment: naming what is wrong with it.
    """
    first_line, _, rest = content.partition(b"\n")
    match = _FIRST_LINE.fullmatch(first_line)
    if match is None:
        raise DamagedSegment(f"{name}: the first line is not that of a segment")
    if int(match[1]) != FORMAT:
        raise DamagedSegment(f"{name} has format {int(match[1])}, this release reads format {FORMAT}")
    if hashlib.sha256(rest).hexdigest() != match[2].decode():
        raise DamagedSegment(f"{name}: the content does not match its checksum")
    head, _, body = rest.partition(b"\n")
    try:
        header = msgspec.json.decode(head, type=Header)
        entries = _ENTRIES.decode(zlib.decompress(body))
    except (msgspec.MsgspecError, zlib.error) as error:
        raise DamagedSegment(f"{name}: {error}") from error
    if Span(parse_position(header.after), parse_position(header.last)).name != name:
        raise DamagedSegment(f"{name} holds the entries after {header.after} up to {header.last}: it was renamed")
    return Segment(header, entries)


def _arrival(entry: RawEntry) -> float:
    position, fields = entry
    at = named(fields).get(b"at", b"")
    return int(at if at.isdigit() else position.partition(b"-")[0]) / 1000


def named(fields: Sequence[bytes]) -> dict[bytes, bytes]:
    """The values of an entry by their fields."""
    return dict(zip(fields[::2], fields[1::2], strict=False))
