"""Values out of a JSON text that is read once, in memory that does not depend on its length."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any, NoReturn

from service.replay.arrival_stream import UnreadableDataset
from service.replay.event_files import LONGEST_LINE, encoding_of

_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
_MAY_GO_ON = re.compile(r"[-+.0-9eE]*")
"""What may follow a number that was cut off."""
_BLOCK = 1 << 18
_KINDS = {"[": "an array", '"': "a text", "t": "true", "f": "false", "n": "null"}


class JsonText:
    """A JSON text from its beginning, value by value.

    Args:
        stream: the text without compression, in UTF-8, UTF-16 or UTF-32.
        head: its first bytes.
        name: for messages.

    Every method raises :class:`UnreadableDataset` with name and line where the text is not JSON, or not whole.
    """

    def __init__(self, stream: IO[bytes], head: bytes, name: str) -> None:
        self._encoding = encoding_of(head) or "utf-8-sig"
        self._file = io.TextIOWrapper(stream, encoding=self._encoding, newline="")
        self._name = name
        self._text = ""
        self._at = self._began = 0
        self._line = 1
        self._ended = False
        self._decode = json.JSONDecoder().raw_decode

    @property
    def line(self) -> int:
        """The line, from 1, at which the value begins that was taken last."""
        return self._line_at(self._began)

    def peek(self) -> str:
        """The next character that is not a space; empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            assert space is not None, "it matches nothing too"
            self._at = space.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """The next value, whole: 16 million characters at most."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except RecursionError:
                self._refuse(self._at, "values are nested too deeply")
            except json.JSONDecodeError as error:
                if not self._more():
                    self._refuse(error.pos, f"not JSON ({error.msg})")
            except ValueError as error:  # A number of thousands of digits.
                self._refuse(self._at, str(error).partition(";")[0])
            else:
                if not _MAY_GO_ON.fullmatch(self._text, end) or not self._more():
                    self._began, self._at = self._at, end
                    return value

    def items(self) -> Iterator[Any]:
        """The values of the array that comes next; where none does, all values to the end of the text."""
        if self.peek() != "[":
            while self.peek():
                yield self.value()
            return
        self._at += 1
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self._expect(",]") == "]":
                return

    def members(self) -> Iterator[str]:
        """The keys of the object that comes next. After each of them its value is to be taken, or skipped."""
        self._expect("{")
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                self._refuse(self._at, "not JSON (a key in quotation marks must stand here)")
            key = self.value()
            self._expect(":")
            yield key
            if self._expect(",}") == "}":
                return

    def skip(self) -> None:
        """Leave out the next value, however long."""
        begin = self.peek()
        if begin == "[":
            self._at += 1
            if self.peek() == "]":
                self._at += 1
                return
            while True:
                self.skip()
                if self._expect(",]") == "]":
                    return
        if begin == "{":
            for _ in self.members():
                self.skip()
            return
        self.value()

    def end(self) -> None:
        """Check that nothing follows."""
        if self.peek():
            self._refuse(self._at, "not JSON (more follows after the end of the value)")

    def _expect(self, characters: str) -> str:
        found = self.peek()
        if not found or found not in characters:
            self._refuse(self._at, f"not JSON ({' or '.join(map(repr, characters))} must stand here)")
        self._at += 1
        return found

    def _more(self) -> bool:
        """Read on; whether anything came."""
        if self._ended:
            return False
        self._line = self._line_at(self._at)
        self._text, self._at = self._text[self._at :], 0
        if len(self._text) > LONGEST_LINE:
            self._refuse(0, f"a value longer than {LONGEST_LINE:,} characters")
        try:
            # At least doubled, so that a long value is not begun too often.
            part = self._file.read(max(_BLOCK, len(self._text)))
        except UnicodeError as error:
            raise UnreadableDataset(
                f"{self._name}, after line {self._line_at(len(self._text))}: not whole "
                f"{self._encoding.removesuffix('-sig').upper()} ({error}): convert it, as with iconv -f latin1 -t utf-8"
            ) from None
        self._ended = not part
        self._text += part
        return bool(part)

    def _line_at(self, place: int) -> int:
        return self._line + self._text.count("\n", 0, place)

    def _refuse(self, place: int, problem: str) -> NoReturn:
        if self._ended and not self._text[place:].strip():
            problem = "ends too early: fetch or write it again"
        raise UnreadableDataset(f"{self._name}, line {self._line_at(place)}: {problem}")


def described(value: Any) -> str:
    """What a value is, for messages.

    >>> described([1]), described(1.5)
    ('an array', 'a number')
    """
    return "an object" if isinstance(value, dict) else _KINDS.get(json.dumps(value)[:1], "a number")
