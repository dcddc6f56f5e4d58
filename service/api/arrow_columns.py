"""Columns of Arrow record batches out of texts and NumPy arrays, without work for each number."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import nanoarrow as na
import numpy as np
import numpy.typing as npt


def taken(out: io.BytesIO) -> bytes:
    """What was written, which is then not there any more."""
    written = out.getvalue()
    out.seek(0)
    out.truncate()
    return written


def spread(values: npt.NDArray[Any], there: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Values at the places that are there, zeros elsewhere."""
    whole = np.zeros((len(there), *values.shape[1:]), values.dtype)
    whole[there] = values
    return whole


def lists(kind: Any, values: npt.NDArray[Any], there: npt.NDArray[np.bool_]) -> Any:
    """A column of lists of one length ``[n, width]``, of which those that are there are given; null elsewhere."""
    flat = spread(values, there).ravel()
    child = numbers(kind, flat)
    return na.c_array_from_buffers(
        na.fixed_size_list(kind, values.shape[1]), len(there), [_valid(there)], children=[child]
    )


def numbers(kind: Any, values: npt.NDArray[Any], there: npt.NDArray[np.bool_] | None = None) -> Any:
    """A column of numbers ``[n]``, null where one is not there; None where all are."""
    return na.c_array_from_buffers(kind, len(values), [None if there is None else _valid(there), values])


def texts(values: Sequence[str | None]) -> Any:
    """A column of texts, null where one is None."""
    encoded = [text.encode() if text is not None else b"" for text in values]
    ends = np.zeros(len(values) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, encoded), np.int32, len(encoded)), out=ends[1:])
    there = np.array([text is not None for text in values], np.bool_)
    return na.c_array_from_buffers(na.string(), len(values), [_valid(there), ends, b"".join(encoded)])


def _valid(there: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8] | None:
    """The validity bitmap; None where all values are there."""
    return None if there.all() else np.packbits(there, bitorder="little")
