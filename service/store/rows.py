"""The layout of a prediction row: the only place that knows which bytes stand where.

A row is little-endian: a header with the row of the graph and the position at which it was computed,
then float32: a probability for each class, in the order of the version's classes, then the disagreement of the group.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.serving.publication import TableUpdate
from service.store.positions import PositionPair

ROW_FORMAT = 3
"""Number of this layout; readers see no model in tables of another one, until a worker has written them anew."""
BYTES_PER_VALUE = 4
_HEADER = struct.Struct("<IIQQ")
_OTHER_VALUES = 1
_GRAPH_ROW_BYTES = 4


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


class Origin(NamedTuple):
    """Where a row was computed.

    Attributes:
        position: the row is exact for the graph at this position.
        applied_events: number of events up to there, since the graph began.
    """

    position: PositionPair
    applied_events: int


def encode_rows(update: TableUpdate, position: PositionPair, applied_events: int) -> npt.NDArray[np.uint8]:
    r"""Rows ``[N, bytes]`` as they are stored.

    Args:
        update: the rows.
        position: of the publication, where rows were computed that have no other origin.
        applied_events: of the publication.

    >>> values, places = np.array([[1.0]], np.float32), np.array([5])
    >>> update = TableUpdate(1, ("a",), values, np.array([0.0], np.float32), rows=places)
    >>> encode_rows(update, (7, 2), 9).tobytes().hex(" ", 4)
    '05000000 02000000 07000000 00000000 09000000 00000000 0000803f 00000000'

    Raises:
        ValueError: where the arrays do not fit each other.
    """
    count, classes = update.probabilities.shape
    origins = update.origins
    columns = [update.rows, update.disagreement, *(origins.columns() if origins is not None else ())]
    if any(column.shape != (count,) for column in columns):
        raise ValueError(f"{count} rows of probabilities, others of {sorted({len(column) for column in columns})}")
    rows = np.empty(count, _layout(classes))
    rows["row"] = update.rows
    rows["position_sequence"] = position[1] if origins is None else origins.position_sequence
    rows["position_ms"] = position[0] if origins is None else origins.position_ms
    rows["applied_events"] = applied_events if origins is None else origins.applied_events
    rows["probabilities"] = update.probabilities
    rows["disagreement"] = update.disagreement
    return rows.view(np.uint8).reshape(count, rows.dtype.itemsize)


def _layout(classes: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            *(("row", "<u4"), ("position_sequence", "<u4"), ("position_ms", "<u8"), ("applied_events", "<u8")),
            *(("probabilities", "<f4", (classes,)), ("disagreement", "<f4")),
        ]
    )


def classes_in(row_bytes: int) -> int:
    """How many classes a row of so many bytes is about."""
    return (row_bytes - _HEADER.size) // BYTES_PER_VALUE - _OTHER_VALUES


def origin(row: bytes) -> Origin:
    """Where a row was computed.

    >>> origin(bytes.fromhex("05000000 02000000 07000000 00000000 09000000 00000000"))
    Origin(position=(7, 2), applied_events=9)
    """
    _, sequence, milliseconds, applied_events = _HEADER.unpack_from(row)
    return Origin((milliseconds, sequence), applied_events)


def graph_rows(rows: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """The graph's row of each, which is its place in the bitmap of marks."""
    return np.frombuffer(b"".join([row[:_GRAPH_ROW_BYTES] for row in rows]), "<u4").astype(np.int64)


def values_of(row: bytes) -> bytes:
    """The content of a row without its header."""
    return row[_HEADER.size :]


class RowDecoder:
    """Reads the rows of one version.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        self._struct = struct.Struct(f"<{_HEADER.size}x{classes + _OTHER_VALUES}f")
        self._all = range(classes)

    @property
    def size(self) -> int:
        """Bytes of one row."""
        return self._struct.size

    def decode(self, row: bytes) -> Row:
        """The prediction, with every class in its order.

        >>> RowDecoder(2).decode(bytes(24) + struct.pack("<3f", 0.25, 0.75, 0.5))
        Row(classes=range(0, 2), probabilities=[0.25, 0.75], disagreement=0.5)
        """
        *probabilities, disagreement = self._struct.unpack(row)
        return Row(self._all, probabilities, disagreement)

    def decode_top(self, row: bytes, top: int) -> Row:
        """The prediction, with its ``top`` most likely classes, the likeliest first; ties in the order of classes.

        >>> RowDecoder(2).decode_top(bytes(24) + struct.pack("<3f", 0.25, 0.75, 0.5), 1)
        Row(classes=[1], probabilities=[0.75], disagreement=0.5)
        """
        values = np.frombuffer(row, "<f4", offset=_HEADER.size)
        best = np.argsort(-values[:-1], kind="stable")[:top]
        return Row(best.tolist(), values[best].tolist(), float(values[-1]))

    def columns(self, rows: Sequence[bytes]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Probabilities ``[N, C]`` and disagreement ``[N]`` of many rows.

        Raises:
            ValueError: where a row has another size.
        """
        values = np.frombuffer(b"".join(rows), _layout(len(self._all)))
        return values["probabilities"], values["disagreement"]
