"""Lines out of a file of events, whatever it is wrapped in: told by its first bytes, not by its name."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from service.replay.arrival_stream import UnreadableDataset

LONGEST_LINE = 16 * 2**20
"""Bytes of one line at most: no event that the service takes is longer."""
_ZIP = b"PK\x03\x04"
_COMPRESSED: dict[bytes, tuple[str, Callable[[Any], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\0": ("xz", lzma.open),
}
"""Beginning of a compressed file, its name and what reads it."""
_OTHERS = {
    b"PAR1": "a Parquet file: write each row as an event, one JSON object a line",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: pipe it, `zstd -dc FILE | olad replay -`",
    b"\x04\x22\x4d\x18": "compressed with lz4: pipe it, `lz4 -dc FILE | olad replay -`",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    _ZIP: "a zip archive: unpack it; an archive of arrays is read from a file, not from standard input",
    b"\x93NUMPY": "a single NumPy array: put 'edges' and 'label' into one archive with np.savez",
    b"\x89HDF": "an HDF5 file: write each row as an event, one JSON object a line",
    b"ARROW1": "an Arrow file: write each row as an event, one JSON object a line",
    b"SQLite format 3": "an SQLite database: write each row as an event, one JSON object a line",
    b"\x80": "a Python pickle, which is never read: it could run anything. Convert it to NDJSON or .npz",
}
"""Beginning of what is known and not read, and what to do."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"{\0\0\0", "utf-32-le"),
    (b"\0\0\0{", "utf-32-be"),
    (b"{\0", "utf-16-le"),
    (b"\0{", "utf-16-be"),
)
"""Beginnings of other encodings than UTF-8; the longer ones first."""
_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError)


def is_zip(path: Path) -> bool:
    """Whether a file begins like a zip archive, which an ``.npz`` is by any name."""
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def read_lines(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """The lines of a file of events as UTF-8, in memory that does not depend on its size.

    It may be compressed (gzip, bzip2, xz), and encoded in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Args:
        stream: the file, at its beginning.
        name: for messages.

    Raises:
        UnreadableDataset: it is something else, and what; it ends too early; or a line is too long.
    """
    head, rest = _peek(stream)
    for mark, (kind, opened) in _COMPRESSED.items():
        if head.startswith(mark):
            yield from _decompressed(opened(rest), kind, name)
            return
    yield from _text_lines(rest, head, name)


def _decompressed(stream: IO[bytes], kind: str, name: str) -> Iterator[bytes]:
    try:
        head, rest = _peek(stream)
        yield from _text_lines(rest, head, name)
    except _BROKEN as error:
        raise UnreadableDataset(f"{name}: not a whole {kind} file ({error})") from None


def _text_lines(stream: IO[bytes], head: bytes, name: str) -> Iterator[bytes]:
    for mark, what in _OTHERS.items():
        if head.startswith(mark):
            raise UnreadableDataset(f"{name} is {what}")
    encoding = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)
    lines = _bounded(stream, name) if encoding is None else _recoded(stream, encoding, name)
    for number, marked in enumerate(lines):
        # Files that were put together have a mark in the middle.
        line = marked.removeprefix(codecs.BOM_UTF8)
        if number == 0:
            _refuse_other_text(line, name)
        yield line


def _bounded(stream: IO[bytes], name: str) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            if number == 1:
                _refuse_other_text(line.removeprefix(codecs.BOM_UTF8), name)
            raise UnreadableDataset(f"{name}, line {number}: longer than {LONGEST_LINE:,} bytes; one event a line")
        yield line


def _recoded(stream: IO[bytes], encoding: str, name: str) -> Iterator[bytes]:
    text = io.TextIOWrapper(stream, encoding=encoding, newline="\n")
    number = 0
    try:
        while line := text.readline(LONGEST_LINE // 4):
            number += 1
            if len(line) == LONGEST_LINE // 4:
                raise UnreadableDataset(
                    f"{name}, line {number}: longer than {len(line):,} characters; one event a line"
                )
            yield line.encode()
    except UnicodeError as error:
        raise UnreadableDataset(f"{name}, after line {number}: not whole {encoding.upper()} ({error})") from None


def _refuse_other_text(line: bytes, name: str) -> None:
    """Say what a text is whose first line holds no JSON object."""
    begin = line.strip()
    if begin.startswith(b"["):
        raise UnreadableDataset(f"{name} is a JSON array, not one event a line: `jq -c '.[]' FILE | olad replay -`")
    if b"\0" in begin:
        raise UnreadableDataset(f"{name} is a binary file of a kind that is not known: NDJSON has one event a line")
    separator = next((mark for mark in (",", ";", "\t") if mark.encode() in begin), None)
    if begin and not begin.startswith(b"{") and separator is not None:
        shown = begin[:60].decode(errors="replace")
        raise UnreadableDataset(
            f"{name} looks like CSV (it begins with {shown!r}): write each row as an event, one JSON object a line, "
            'like {"op": "upsert_edge", "src": "a", "dst": "b", "ts": 1.0}'
        )


def _peek(stream: IO[bytes]) -> tuple[bytes, IO[bytes]]:
    """The first bytes, and a stream that has them still; waits for no more than there must be."""
    head = b""
    while len(head) < 16:
        more = stream.read1(4096) if isinstance(stream, io.BufferedReader | io.BytesIO) else stream.read(64)
        if not more:
            break
        head += more
    return head, cast("IO[bytes]", io.BufferedReader(_Joined(head, stream)))


class _Joined(io.RawIOBase):
    """Bytes that were read already, followed by the rest of their stream."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """What was read already, then what the rest gives at once."""
        if self._head:
            part, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            read = getattr(self._rest, "read1", self._rest.read)
            part = read(len(buffer))
        buffer[: len(part)] = part
        return len(part)
