"""Exceptions as plain text of bounded length: no local variables, and no more lines than a person reads."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import TracebackType

from service.redaction import shortened

MAX_CHARS = 20_000
"""Length of a whole traceback at most."""
_MAX_MESSAGE = 2_000
_MAX_FRAME = 400
_MAX_EXCEPTIONS = 5
_FIRST_FRAMES = 5
_LAST_FRAMES = 20
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"


def plain_traceback(error: BaseException) -> str:
    r"""The traceback of an exception and of those that led to it, oldest first.

    At most 5 exceptions, 25 frames of each and 2,000 characters of each message are kept, and less of them where the
    whole would be longer than ``MAX_CHARS``. Lines of a message after its first begin with ``|``, so that none can
    pass for a log line.

    >>> print(plain_traceback(ValueError("one\ntwo")))
    ValueError: one
    | two
    """
    parts: list[str] = []
    left = MAX_CHARS
    for one, link in _chain(error):
        part = _frames(one.__traceback__) + described(one) + (f"\n\n{link}\n" if link else "")
        left -= len(part)
        if left < 0 and parts:
            parts.append("... earlier exceptions left out\n")
            break
        parts.append(part)
    return "\n".join(reversed(parts))


def described(error: BaseException) -> str:
    """Type and message of an exception, its notes, and the exceptions of a group, each on lines of their own."""
    lines = [f"{_name(type(error))}: {_message(error)}".removesuffix(": ")]
    lines += [_indented(shortened(str(note), _MAX_MESSAGE)) for note in getattr(error, "__notes__", ())[:3]]
    if isinstance(error, BaseExceptionGroup):
        lines += [f"  in it: {_name(type(inner))}: {_message(inner)}" for inner in error.exceptions[:_MAX_EXCEPTIONS]]
    return "\n".join(lines)


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """The exception and its causes, newest first, each with the text that links it to the next newer one."""
    seen: set[int] = set()
    link = ""
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(seen) < _MAX_EXCEPTIONS:
        seen.add(id(current))
        yield current, link
        if current.__cause__ is not None:
            current, link = current.__cause__, _CAUSE
        else:
            current, link = (None if current.__suppress_context__ else current.__context__), _CONTEXT


def _frames(trace: TracebackType | None) -> str:
    if trace is None:
        return ""
    frames = list(traceback.walk_tb(trace))
    left_out = len(frames) - _FIRST_FRAMES - _LAST_FRAMES
    kept = frames if left_out <= 0 else frames[:_FIRST_FRAMES] + frames[-_LAST_FRAMES:]
    lines = traceback.StackSummary.extract(iter(kept)).format()
    if left_out > 0:
        lines.insert(_FIRST_FRAMES, f"  ... {left_out:,} frames left out\n")
    return "Traceback (most recent call last):\n" + "".join(_frame(line) for line in lines)


def _frame(lines: str) -> str:
    return f"{shortened(lines.removesuffix(chr(10)), _MAX_FRAME)}\n"


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as failed:
        return f"<its message cannot be made: {type(failed).__name__}>"
    return _indented(shortened(text, _MAX_MESSAGE))


def _indented(text: str) -> str:
    return "\n| ".join(text.split("\n"))
