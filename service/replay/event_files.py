"""Lines out of a file of events, whatever it is wrapped in: recognised by its first bytes, not by its name."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from service.replay.arrival_stream import UnreadableDataset

LONGEST_LINE = 16 * 2**20
"""Bytes of one line at most: no event that the service takes is longer."""
ZIP, PARQUET = b"PK\x03\x04", b"PAR1"
"""Beginnings of a zip archive, which an ``.npz`` is, and of a Parquet file."""


def _by_arrow(codec: str) -> Callable[[Any], Any]:
    def opened(stream: IO[bytes]) -> IO[bytes]:
        import pyarrow as pa  # noqa: PLC0415 (an extra)

        return cast("IO[bytes]", io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(stream, "r"), codec)))

    return opened


_COMPRESSED: dict[bytes, tuple[str, Callable[[Any], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\0": ("xz", lzma.open),
    b"\x28\xb5\x2f\xfd": ("zstd", _by_arrow("zstd")),
    b"\x04\x22\x4d\x18": ("lz4", _by_arrow("lz4")),
}
"""Beginning of a compressed file, its name and what reads it."""
_OTHERS = {
    PARQUET: "a Parquet file, which must be read from its end: give the file itself instead of a pipe",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    ZIP: "a zip archive: unpack it; an archive of arrays is read from a file, not from standard input",
    b"\x93NUMPY": "a single NumPy array: put 'edges' and 'label' into one archive with np.savez",
    b"\x89HDF": "an HDF5 file: write each row as an event, one JSON object a line",
    b"ARROW1": "an Arrow file: write each row as an event, one JSON object a line",
    b"SQLite format 3": "an SQLite database: write its table as CSV",
    b"\xd0\xcf\x11\xe0": "a workbook of Excel: save its sheet as CSV",
    b"Obj\x01": "an Avro file: write Parquet or CSV",
    b"ORC": "an ORC file: write Parquet or CSV",
    b"%PDF": "a PDF",
    b"\x80": "a Python pickle, which is never read: it could run anything. Write NDJSON, .npz, or a Data of PyG with "
    "torch.save",
}
"""Beginning of what is known and not read, and what to do."""
_GRAPH_TEXTS = (
    ("GML", re.compile(rb"(?:Creator|Version|graph\s*\[|graph\s*$)", re.IGNORECASE), "read_gml"),
    ("a Pajek file", re.compile(rb"\*(?:vertices|network)", re.IGNORECASE), "read_pajek"),
    ("an adjacency list of NetworkX", re.compile(rb"#[^,;\t|]*$"), "read_adjlist"),
    ("an edge list of NetworkX", re.compile(rb"[^\s,;|{]+ [^\s,;|{]+(?: \{.*\})?$"), "read_edgelist"),
)
"""First lines of other files of graphs."""
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
"""What the readers of compressed files raise for files that are not whole."""


def first_bytes(path: Path) -> bytes:
    """The first bytes of a file, as they are without compression; 16 at least where there are as many.

    Raises:
        UnreadableDataset: it is compressed and not whole.
    """
    with path.open("rb") as file, unwrapping(file, str(path), known=tuple(_OTHERS)) as (head, _):
        return head


def opened_whole(path: Path) -> IO[bytes]:
    """A file that is read here and there: the file itself, or what it holds in compressed form, in memory.

    Raises:
        UnreadableDataset: it is compressed and not whole.
    """
    with path.open("rb") as file:
        if not file.read(16).startswith(tuple(_COMPRESSED)):
            return path.open("rb")
        file.seek(0)
        with unwrapping(file, str(path), known=tuple(_OTHERS)) as (_, stream):
            return io.BytesIO(stream.read())


def read_lines(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """The lines of a file of events as UTF-8, in memory that does not depend on its size.

    It may be compressed (gzip, bzip2, xz), and encoded in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Args:
        stream: the file, at its beginning.
        name: for messages.

    Raises:
        UnreadableDataset: it is something else, and what; it ends too early; or a line is too long.
    """
    with unwrapping(stream, name) as (head, rest):
        yield from _text_lines(rest, head, name)


@contextlib.contextmanager
def unwrapping(stream: IO[bytes], name: str, known: tuple[bytes, ...] = ()) -> Iterator[tuple[bytes, IO[bytes]]]:
    """The first bytes of a file, and the file from its beginning, both as they are without compression.

    Args:
        stream: the file, at its beginning.
        name: for messages.
        known: beginnings of binary files that the caller reads.

    Raises:
        UnreadableDataset: it is compressed and not whole, then or while it is read; or it is known and not read.
    """
    head, rest = _peek(stream)
    kind, opened = next((found for mark, found in _COMPRESSED.items() if head.startswith(mark)), ("", None))
    try:
        if opened is not None:
            head, rest = _peek(opened(rest))
        for mark, what in _OTHERS.items():
            if head.startswith(mark) and mark not in known:
                raise UnreadableDataset(f"{name} is {what}")
        yield head, rest
    except ModuleNotFoundError:
        raise UnreadableDataset(f"{name} is compressed with {kind}, which needs: pip install 'olad[files]'") from None
    except _BROKEN as error:
        if opened is None:
            raise
        raise UnreadableDataset(f"{name}: not a whole {kind} file ({_short(error)}): fetch or copy it again") from None


def unwrapped(stream: IO[bytes], name: str) -> tuple[bytes, IO[bytes]]:
    """The same as :func:`unwrapping` for a stream that is read on elsewhere.

    Raises:
        UnreadableDataset: as there. Reading the stream raises it too.
    """
    with unwrapping(stream, name) as (head, rest):
        return head, cast("IO[bytes]", io.BufferedReader(_Whole(rest, name)))


def _short(error: BaseException) -> str:
    """The first line of a library's message."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def recoded(stream: IO[bytes], encoding: str) -> IO[bytes]:
    """The same text in UTF-8, without a byte order mark.

    Reading raises :class:`UnicodeError` where the text is not in that encoding.
    """
    return cast("IO[bytes]", io.BufferedReader(_Recoded(stream, encoding)))


def joined(head: bytes, rest: IO[bytes]) -> IO[bytes]:
    """A stream that begins with bytes that were read of it."""
    return cast("IO[bytes]", io.BufferedReader(_Joined(head, rest)))


def encoding_of(head: bytes) -> str | None:
    """The encoding of a text by its first bytes; None for UTF-8.

    >>> encoding_of("a,b".encode("utf-16")), encoding_of(b"a,b")
    ('utf-16', None)
    """
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def _text_lines(stream: IO[bytes], head: bytes, name: str) -> Iterator[bytes]:
    encoding = encoding_of(head)
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
    if b"\0" in begin:
        raise UnreadableDataset(f"{name} is a binary file of a kind that is not known: NDJSON has one event a line")
    if begin.startswith(b"<"):
        raise UnreadableDataset(f"{name} is XML: GraphML is read twice, so from a file and not from a pipe")
    for what, form, reader in _GRAPH_TEXTS:
        if form.match(begin):
            raise UnreadableDataset(
                f"{name} looks like {what}, which is not read: write GraphML, as "
                f"networkx.write_graphml(networkx.{reader}(FILE), OTHER) does"
            )
    if begin[:1].isalnum() and not any(mark in begin for mark in (b",", b";", b"\t", b"|")):
        shown = begin[:60].decode(errors="replace")
        raise UnreadableDataset(
            f"{name} is no JSON (it begins with {shown!r}): events are one JSON object a line; the column "
            "of a table is named with --id"
        )
    separator = next((mark for mark in (",", ";", "\t") if mark.encode() in begin), None)
    if begin and not begin.startswith(b"{") and separator is not None:
        shown = begin[:60].decode(errors="replace")
        raise UnreadableDataset(
            f"{name} looks like CSV (it begins with {shown!r}): name its columns with --source and --target, --id or "
            "--mapping"
        )


def _peek(stream: IO[bytes]) -> tuple[bytes, IO[bytes]]:
    """The first bytes, and a stream that has them still; waits for no more than there must be."""
    head = b""
    while len(head) < 16:
        more = stream.read1(4096) if isinstance(stream, io.BufferedReader | io.BytesIO) else stream.read(64)
        if not more:
            break
        head += more
    return head, joined(head, stream)


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


class _Whole(io.RawIOBase):
    """A stream without compression, which is refused where it is not whole."""

    def __init__(self, rest: IO[bytes], name: str) -> None:
        self._rest, self._name = rest, name

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """What comes next."""
        try:
            part = getattr(self._rest, "read1", self._rest.read)(len(buffer))
        except _BROKEN as error:
            raise UnreadableDataset(f"{self._name}: not whole ({_short(error)}): fetch or copy it again") from None
        buffer[: len(part)] = part
        return len(part)


class _Recoded(io.RawIOBase):
    """Text of another encoding as UTF-8."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._text = io.TextIOWrapper(stream, encoding=encoding, newline="")
        self._rest = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """The next bytes."""
        if not self._rest:
            self._rest = self._text.read(1 << 16).encode()
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)
