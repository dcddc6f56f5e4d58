"""How this package compiles its hot loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Compile a loop over arrays to machine code at its first call; later processes load it from the disk cache.

    The cache notices changes only in the file the called function stands in. Compiled functions that call each
    other therefore stand in one file, and a change here takes effect only once ``__pycache__`` is emptied.

    Compiled functions here only read and write the arrays they are given: they cannot allocate. That spares the
    counting of references to every array at every call, which took two thirds of the time.
    """
    return cast("_Function", njit(cache=True, _nrt=False)(function))
