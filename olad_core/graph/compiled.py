"""How this package compiles its hot loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

_Function = TypeVar("_Function", bound=Callable[..., object])
_Number = int | np.integer[Any]

AHEAD = 8
"""Rows between the one a loop works on and the one it calls for: memory answers while they are done."""
_LINE = 64
"""Bytes in a line of the cache."""


def compiled(function: _Function) -> _Function:
    """Compile a loop over arrays to machine code at its first call; later processes load it from the disk cache.

    The cache notices changes only in the file the called function stands in. Compiled functions that call each
    other therefore stand in one file, and a change here takes effect only once ``__pycache__`` is emptied.

    Compiled functions here only read and write the arrays they are given: they cannot allocate. That spares the
    counting of references to every array at every call, which took two thirds of the time.
    """
    return cast("_Function", njit(cache=True, _nrt=False)(function))


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Address of the item or row."""
    held = make_array(kind)(context, builder, array)
    step = cgutils.unpack_tuple(builder, held.strides, kind.ndim)[0]
    return builder.add(builder.ptrtoint(held.data, step.type), builder.mul(index, step))


def _call_for(builder: Any, address: Any) -> None:
    """Bring the cache line at this address in, to be written."""
    number, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
    signature = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
    fetch = cgutils.get_or_insert_function(builder.module, signature, "llvm.prefetch.p0")
    to_write, keep, data = number(1), number(3), number(1)
    builder.call(fetch, [builder.inttoptr(address, pointer), to_write, keep, data])


def _prefetch(_: Any, array: Any, index: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = context.cast(builder, arguments[1], signature.args[1], types.intp)
        _call_for(builder, _address(context, builder, signature.args[0], arguments[0], at))
        return context.get_dummy_value()

    return types.void(array, index), code


def _prefetch_row(_: Any, table: Any, row: Any, first: Any, width: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        row, first, width = (
            context.cast(builder, argument, given, types.intp)
            for argument, given in zip(arguments[1:], signature.args[1:], strict=True)
        )
        size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        begin = builder.add(_address(context, builder, kind, arguments[0], row), builder.mul(first, size))
        last = builder.sub(builder.add(begin, builder.mul(width, size)), size.type(1))
        line = size.type(_LINE)
        further = builder.sub(builder.udiv(last, line), builder.udiv(begin, line))
        with cgutils.for_range(builder, builder.add(further, size.type(1))) as loop:
            _call_for(builder, builder.add(begin, builder.mul(loop.index, line)))
        return context.get_dummy_value()

    return types.void(table, row, first, width), code


prefetch = cast("Callable[[npt.NDArray[Any], _Number], None]", intrinsic(_prefetch))
"""In compiled loops: have ``array[index]`` brought into the cache, without waiting for it."""
prefetch_row = cast("Callable[[npt.NDArray[Any], _Number, _Number, _Number], None]", intrinsic(_prefetch_row))
"""In compiled loops: the same for ``table[row, first : first + width]``."""
