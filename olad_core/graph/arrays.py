"""Types of arrays, and arrays that grow."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Int16s = npt.NDArray[np.int16]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
UInt8s = npt.NDArray[np.uint8]
UInt64s = npt.NDArray[np.uint64]
Integer: TypeAlias = int | np.integer[Any]
Number: TypeAlias = float | np.floating[Any]

_Scalar = TypeVar("_Scalar", bound=np.generic)


def lengthened(array: npt.NDArray[_Scalar], size: int, fill: float = 0) -> npt.NDArray[_Scalar]:
    """The array, followed by ``fill`` up to ``size`` along the first axis.

    >>> lengthened(np.array([1, 2]), 4, fill=-1).tolist()
    [1, 2, -1, -1]
    """
    if array.shape[0] >= size:
        return array
    # Zeros are given by the operating system when they are first touched.
    shape = (size, *array.shape[1:])
    longer = np.zeros(shape, array.dtype) if fill == 0 else np.full(shape, fill, array.dtype)
    longer[: array.shape[0]] = array
    return longer
