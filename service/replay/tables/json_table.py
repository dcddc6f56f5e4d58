"""Rows of JSON in record batches: an array of objects, or one object after the other."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NoReturn

import pyarrow as pa

from service.replay.arrival_stream import UnreadableDataset
from service.replay.event_files import unwrapping
from service.replay.json_text import JsonText, described
from service.replay.tables.changes import Change, ChangeKeys, WrongChange, changes_of, field
from service.replay.tables.table import Rows

_ROWS = 20_000
_ROWS_OF_COLUMNS = 10_000
"""Rows whose keys are the names of the columns."""
_EXACT = 2**53


class JsonTable:
    """JSON objects as rows, in any of the wrappings of :mod:`service.replay.event_files`.

    Values are read as text, as those of CSV are. A field of a nested object is a column of its own: ``payer.id``.

    Args:
        name: for messages.
        opened: opens the file at its beginning.
        member: the member of one object that holds the rows; None where they are the text.
        changes: the objects are change events of Debezium, whose rows are known by these columns.
        again: whether it can be opened twice; else its columns are not known.

    Raises:
        UnreadableDataset: it holds no rows, or is not JSON.
    """

    def __init__(
        self,
        name: str,
        opened: Callable[[], IO[bytes]],
        *,
        member: tuple[str, ...] = (),
        changes: ChangeKeys | None = None,
        again: bool = True,
    ) -> None:
        self.name = name
        self._opened, self._member, self._changes = opened, member, changes
        self.columns: tuple[str, ...] | None = self._first_columns() if again else None

    def rows(self, columns: Sequence[str]) -> Iterator[Rows]:
        """All rows with these columns, as text.

        Raises:
            UnreadableDataset: a value is nested, or the file is no JSON.
        """
        kept: list[list[str | None]] = [[] for _ in columns]
        numbers: list[int] = []
        changes: list[Change] = []

        def taken() -> Rows:
            arrays = [self._array(column, texts, numbers) for column, texts in zip(columns, kept, strict=True)]
            batch = pa.record_batch(arrays, names=list(columns))
            rows = Rows(batch, 0, tuple(numbers), tuple(changes) if self._changes is not None else None)
            for texts in kept:
                texts.clear()
            numbers.clear()
            changes.clear()
            return rows

        for number, change, row in self._changed_rows():
            for column, texts in zip(columns, kept, strict=True):
                texts.append(self._text(field(row, column), column, number))
            numbers.append(number)
            changes.append(change)
            if len(numbers) >= _ROWS:
                yield taken()
        if numbers:
            yield taken()

    def place(self, row: int) -> str:
        """The line at which an object begins, with its number where it is not alone there or that is another one."""
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
            text = self._text_of(stack)
            for number, _ in enumerate(self._objects(text)):
                if number == row:
                    return f"line {text.line}" if text.line == row + 1 else f"line {text.line} (object {row + 1})"
        return f"row {row + 1}"

    def _changed_rows(self) -> Iterator[tuple[int, Change, dict[str, Any]]]:
        with contextlib.ExitStack() as stack:
            for number, value in enumerate(self._objects(self._text_of(stack))):
                if self._changes is not None:
                    try:
                        for change, row in changes_of(value, self._changes):
                            yield number, change, row
                    except WrongChange as error:
                        self._refuse(number, str(error))
                elif isinstance(value, dict):
                    yield number, "arrives", value
                else:
                    self._refuse(number, f"{described(value)}, where a row must be an object")

    def _objects(self, text: JsonText) -> Iterator[Any]:
        if not self._member:
            yield from text.items()
            text.end()
            return
        for key in text.members():
            if key in self._member and text.peek() == "[":
                yield from text.items()
                return
            text.skip()

    def _text_of(self, stack: contextlib.ExitStack) -> JsonText:
        raw = stack.enter_context(contextlib.closing(self._opened()))
        head, stream = stack.enter_context(unwrapping(raw, self.name))
        return JsonText(stream, head, self.name)

    def _first_columns(self) -> tuple[str, ...] | None:
        names: dict[str, None] = {}
        for number, _, row in self._changed_rows():
            names |= dict.fromkeys(_leaves(row))
            if number >= _ROWS_OF_COLUMNS:
                break
        if not names and self._member:
            return None  # A graph may have no edges.
        if not names:
            raise UnreadableDataset(f"{self.name} holds no rows: write one JSON object for each")
        return tuple(names)

    def _text(self, value: Any, column: str, number: int) -> str | None:
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            if math.isnan(value):
                return None
            return str(int(value)) if value.is_integer() and abs(value) <= _EXACT else repr(value)
        if isinstance(value, dict):
            inner = next(iter(value), "id")
            self._refuse(number, f"column {column!r} is an object: name a part of it, as {column}.{inner}")
        if isinstance(value, list):
            self._refuse(number, f"column {column!r} is an array: write its parts as columns of their own")
        return str(value)

    def _array(self, column: str, texts: list[str | None], numbers: Sequence[int]) -> Any:
        try:
            return pa.array(texts, pa.string())
        except UnicodeEncodeError:
            row = next(row for row, text in enumerate(texts) if text is not None and not _is_unicode(text))
            self._refuse(numbers[row], f"column {column!r} has half of a character (\\ud800 to \\udfff)")

    def _refuse(self, number: int, problem: str) -> NoReturn:
        raise UnreadableDataset(f"{self.name}, {self.place(number)}: {problem}")


def _leaves(row: dict[str, Any], outer: str = "") -> Iterator[str]:
    """Names of the columns of one row; a list is one, so that what it is can be named."""
    for key, value in row.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{outer}{key}.")
        else:
            yield f"{outer}{key}"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
