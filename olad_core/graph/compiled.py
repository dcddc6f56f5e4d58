"""How this package compiles its hot loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Compile a loop over arrays to machine code at its first call; later processes load it from the disk cache.

    The cache notices changes only in the file the called function stands in. Compiled functions that call each
    other therefore stand in one file.
    """
    return cast("_Function", njit(cache=True)(function))
