"""The layout of a prediction row: the only place that knows which bytes stand where.

A row is little-endian float32: a probability for each class, in the order of the version's classes, then the
disagreement of the group.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ROW_FORMAT = 2
"""Number of this layout; readers see no model in tables of another one, until a worker has written them anew."""
BYTES_PER_VALUE = 4
_VALUE = "<f4"
_OTHER_VALUES = 1


class Row(NamedTuple):
    """One prediction.

    Attributes:
        classes: places of classes in the version's order.
        probabilities: of these classes.
        disagreement: how far the members of the group differ, from 0 to 1.
    """

    classes: Sequence[int]
    probabilities: Sequence[float]
    disagreement: float


def encode_rows(
    probabilities: npt.NDArray[np.float32], disagreement: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    r"""Rows ``[N, C + 1]``, whose bytes are those that are stored.

    Args:
        probabilities: ``[N, C]``.
        disagreement: ``[N]``.

    >>> encode_rows(np.array([[1.0]], np.float32), np.array([0.0], np.float32)).tobytes()
    b'\x00\x00\x80?\x00\x00\x00\x00'
    """
    return np.ascontiguousarray(np.column_stack([probabilities, disagreement]), dtype=_VALUE)


def classes_in(row_bytes: int) -> int:
    """How many classes a row of so many bytes is about."""
    return row_bytes // BYTES_PER_VALUE - _OTHER_VALUES


class RowDecoder:
    """Reads the rows of one version.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        self._struct = struct.Struct(f"<{classes + _OTHER_VALUES}f")
        self._all = range(classes)

    @property
    def size(self) -> int:
        """Bytes of one row."""
        return self._struct.size

    def decode(self, row: bytes) -> Row:
        """The prediction, with every class in its order.

        >>> RowDecoder(2).decode(struct.pack("<3f", 0.25, 0.75, 0.5))
        Row(classes=range(0, 2), probabilities=[0.25, 0.75], disagreement=0.5)
        """
        *probabilities, disagreement = self._struct.unpack(row)
        return Row(self._all, probabilities, disagreement)

    def decode_top(self, row: bytes, top: int) -> Row:
        """The prediction, with its ``top`` most likely classes, the likeliest first; ties in the order of classes.

        >>> RowDecoder(2).decode_top(struct.pack("<3f", 0.25, 0.75, 0.5), 1)
        Row(classes=[1], probabilities=[0.75], disagreement=0.5)
        """
        values = np.frombuffer(row, _VALUE)
        best = np.argsort(-values[:-1], kind="stable")[:top]
        return Row(best.tolist(), values[best].tolist(), float(values[-1]))
