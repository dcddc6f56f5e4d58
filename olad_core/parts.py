"""Work that can be interrupted: a generator that yields wherever the caller may do something else first."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias, TypeVar

Result = TypeVar("Result")

Parts: TypeAlias = Generator[None, None, Result]
"""Work in parts, one for each ``next``, and one more for the last; its result is what the generator returns."""


def whole(parts: Parts[Result]) -> Result:
    """Do all parts at once; the result.

    >>> def work() -> Parts[int]:
    ...     yield
    ...     return 7
    >>> whole(work())
    7
    """
    while True:
        try:
            next(parts)
        except StopIteration as done:
            result: Result = done.value
            return result
