"""Long work on the event loop, cut into slices. Between two of them the loop runs everything else that is ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from typing import TypeVar

_T = TypeVar("_T")
SLICE_S = 0.005
"""A slice ends with the first step that ends after so many seconds. It is Python's own interval between threads."""


async def in_slices(work: Generator[None, None, _T]) -> _T:
    """Run a generator whose steps are short; what it returns."""
    until = time.perf_counter() + SLICE_S
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: _T = done.value
            return result
        if time.perf_counter() >= until:
            await asyncio.sleep(0)
            until = time.perf_counter() + SLICE_S
