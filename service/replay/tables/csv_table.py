"""CSV in record batches; what is wrong in it is named by line."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from service.replay.arrival_stream import UnreadableDataset
from service.replay.event_files import encoding_of, joined, recoded, unwrapping
from service.replay.tables.mapping import CsvFormat
from service.replay.tables.table import Rows, named

_BLOCK_BYTES = 4 * 2**20
"""Bytes that are parsed at once; no row is longer."""
_ROWS = 20_000
"""Rows that become events at once."""
_LONGEST_HEADER = 2**20
_DELIMITERS = ",;\t|"


class CsvTable:
    """A file of CSV with a header, in any of the wrappings of :mod:`service.replay.event_files`.

    A column without a name, as the first one of pandas, is called by its place: ``column 1``.

    Args:
        name: for messages.
        opened: opens the file at its beginning.
        form: what is known of how it is written.
        again: whether it can be opened twice.

    Raises:
        UnreadableDataset: it has no header, or is something else.
    """

    def __init__(
        self, name: str, opened: Callable[[], IO[bytes]], form: CsvFormat = CsvFormat(), *, again: bool = True
    ) -> None:
        self.name = name
        self._opened = opened
        self._encoding = form.encoding
        self._first: tuple[contextlib.ExitStack, IO[bytes]] | None = None
        with contextlib.ExitStack() as stack:
            stream = self._open(stack)
            line = self._decoding(lambda: stream.readline(_LONGEST_HEADER))
            header = self._header(line)
            if not again:
                self._first = stack.pop_all(), joined(line, stream)
        self.delimiter = form.delimiter or max(_DELIMITERS, key=header.count)
        names = [name.strip() for name in next(csv.reader([header], delimiter=self.delimiter), ())]
        self.columns = tuple(name or f"column {number}" for number, name in enumerate(names, start=1))
        if not any(names):
            raise UnreadableDataset(f"{name}: the first line is empty: it must hold the names of the columns")

    def rows(self, columns: Sequence[str]) -> Iterator[Rows]:
        """All rows with these columns, as text.

        Raises:
            UnreadableDataset: naming the line, what it is, and what to do.
        """
        for column in columns:
            if self.columns.count(column) > 1:
                raise UnreadableDataset(f"{self.name} has two columns {column!r}; {named(self.columns)}")
        done = 0
        wrong: list[Any] = []

        def keep(row: Any) -> str:
            if not row.text.strip():
                return "skip"
            wrong.append(row)
            return "error"

        with contextlib.ExitStack() as stack:
            if self._first is not None:
                held, stream = self._first
                stack.enter_context(held)
                self._first = None
            else:
                stream = self._open(stack)
            try:
                reader = arrow_csv.open_csv(
                    pa.PythonFile(stream, "r"),
                    arrow_csv.ReadOptions(
                        block_size=_BLOCK_BYTES, use_threads=False, column_names=self.columns, skip_rows=1
                    ),
                    arrow_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=keep),
                    arrow_csv.ConvertOptions(
                        column_types=dict.fromkeys(self.columns, pa.string()),
                        include_columns=list(columns),
                        strings_can_be_null=False,
                    ),
                )
                for batch in reader:
                    for first in range(0, batch.num_rows, _ROWS):
                        yield Rows(batch.slice(first, _ROWS), done + first)
                    done += batch.num_rows
            except UnicodeError as error:
                raise self._not_decoded(error) from None
            except pa.ArrowInvalid as error:
                raise self._refused(str(error), wrong, done) from None

    def place(self, row: int) -> str:
        """The line at which a row begins, line ends in quotation marks counted; without another look, the row."""
        try:
            with contextlib.ExitStack() as stack:
                lines = io.TextIOWrapper(self._open(stack), encoding="utf-8-sig", errors="replace", newline="")
                return f"line {_line_of(csv.reader(lines, delimiter=self.delimiter), row)}"
        except (OSError, ValueError, csv.Error):
            return f"row {row + 1}"

    def _open(self, stack: contextlib.ExitStack) -> IO[bytes]:
        """The file from its beginning, in UTF-8."""
        raw = stack.enter_context(contextlib.closing(self._opened()))
        head, stream = stack.enter_context(unwrapping(raw, self.name))
        encoding = self._encoding or encoding_of(head)
        if encoding is None and b"\0" in head:
            raise UnreadableDataset(
                f"{self.name} is a binary file of a kind that is not known; where it is CSV in UTF-16: "
                "--encoding utf-16-le"
            )
        return stream if encoding is None else recoded(stream, encoding)

    def _decoding(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except UnicodeError as error:
            raise self._not_decoded(error) from None

    def _header(self, line: bytes) -> str:
        if not line:
            raise UnreadableDataset(f"{self.name} is empty: its first line must hold the names of the columns")
        if len(line) >= _LONGEST_HEADER:
            raise UnreadableDataset(f"{self.name}: the first line is longer than {_LONGEST_HEADER:,} bytes: not CSV")
        try:
            return line.removeprefix(codecs.BOM_UTF8).decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise self._no_utf8(1, error) from None

    def _not_decoded(self, error: UnicodeError) -> UnreadableDataset:
        return UnreadableDataset(f"{self.name} is not whole {(self._encoding or 'UTF-16').upper()} ({error})")

    def _refused(self, problem: str, wrong: Sequence[Any], done: int) -> UnreadableDataset:
        """The error for the user, out of what Arrow found."""
        if wrong:
            row = wrong[0]
            place = self.place(row.number - 2) if row.number is not None else f"after {self.place(done)}"
            todo = "close its quotation mark" if "\n" in row.text else f"quote values that hold {self.delimiter!r}"
            return UnreadableDataset(
                f"{self.name}, {place}: {row.actual_columns} values, but the header names {row.expected_columns} "
                f"columns: {row.text[:60]!r}; {todo}"
            )
        if "UTF8" in problem or "UTF-8" in problem:
            return self._first_no_utf8()
        place = self.place(done)
        if "straddling" in problem or "out of sync" in problem:
            return UnreadableDataset(
                f"{self.name}: a row at or after {place} does not end within {_BLOCK_BYTES:,} bytes: close its "
                "quotation mark"
            )
        return UnreadableDataset(f"{self.name}, at or after {place}: {problem.splitlines()[0]}")

    def _first_no_utf8(self) -> UnreadableDataset:
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
            for number, line in enumerate(self._open(stack), start=1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    return self._no_utf8(number, error)
        return UnreadableDataset(f"{self.name} is not in UTF-8: state its encoding, as --encoding latin-1")

    def _no_utf8(self, number: int, error: UnicodeDecodeError) -> UnreadableDataset:
        part = error.object[max(0, error.start - 12) : error.start + 12].decode("latin-1")
        return UnreadableDataset(
            f"{self.name}, line {number}: byte 0x{error.object[error.start]:02x} is not UTF-8; if {part!r} is right, "
            "the file is Latin-1: --encoding latin-1"
        )


def _line_of(reader: Any, row: int) -> int:
    """The line at which a record begins; records are counted from 0 after the header, empty lines are not."""
    csv.field_size_limit(sys.maxsize)
    begin, count = 1, -1
    for record in reader:
        if any(value.strip() for value in record) or len(record) > 1:
            if count == row:
                return begin
            count += 1
        begin = reader.line_num + 1
    raise ValueError("there are fewer rows")
