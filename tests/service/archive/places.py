"""Archives for tests: a log in memory, and what an archive holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.archive.history import History
from service.archive.place import Place
from service.store.positions import START, parse_position
from service.store.raw_log import RawEntry


@dataclass
class RawMemoryLog:
    """A log in memory that gives so many entries in one read."""

    entries: list[RawEntry] = field(default_factory=list)
    at_once: int = 3
    trimmed_to: str = START
    newest: bool = True
    skips: dict[str, str] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)

    def append(self, count: int, size: int = 10) -> str:
        """So many entries of a size; the position of the last one."""
        last = int(self.entries[-1][0].split(b"-")[0]) if self.entries else parse_position(self.trimmed_to)[0]
        for number in range(last + 1, last + 1 + count):
            self.entries.append((f"{number}-0".encode(), [b"events", bytes(size), b"n", b"1"]))
        return f"{last + count}-0"

    def trim(self, position: str) -> None:
        at = parse_position(position)
        self.entries = [entry for entry in self.entries if parse_position(entry[0].decode()) > at]
        self.trimmed_to = position

    def read(self, after: str, up_to: str) -> list[RawEntry]:
        later = [entry for entry in self.entries if parse_position(entry[0].decode()) > parse_position(after)]
        end = parse_position(up_to)
        return [entry for entry in later[: self.at_once] if parse_position(entry[0].decode()) <= end]

    def trimmed(self) -> str:
        return self.trimmed_to

    def holds(self, position: str) -> bool:
        return any(entry[0].decode() == position for entry in self.entries)

    def skipped(self) -> dict[str, str]:
        return self.skips

    def left_out(self) -> list[str]:
        return self.without

    def is_newest(self) -> bool:
        return self.newest


def positions(place: Place) -> list[str]:
    """Positions of all entries in an archive, in the order in which they are read."""
    return [position.decode() for segment in History(place).segments() for position, _ in segment.entries]
