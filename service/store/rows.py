"""The layout of a prediction row: the only place that knows which bytes stand where.

A row is little-endian: a header with the row of the graph and the position at which it was computed, then float32.
A *whole* row has a probability for each class, in the order of the version's classes, then the disagreement of the
group. A *short* row, where there are many classes, has the most likely ones as uint32, their probabilities, and the
disagreement.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from olad_core.config import PUBLISHED_CLASSES, PUBLISHED_WHOLE
from olad_core.serving.publication import TableUpdate
from service.store.positions import PositionPair

WHOLE_FORMAT = 3
"""Number of the layout of whole rows."""
SHORT_FORMAT = 4
"""Number of the layout of short rows; readers see no model in tables of a layout that they do not know."""
BYTES_PER_VALUE = 4
_HEADER = struct.Struct("<IIQQ")
_HEADER_FIELDS = (("row", "<u4"), ("position_sequence", "<u4"), ("position_ms", "<u8"), ("applied_events", "<u8"))
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


class Ranked(NamedTuple):
    """The most likely classes of many nodes, the likeliest first.

    Attributes:
        classes: their places in the version's order ``[N, k]``.
        probabilities: of these ``[N, k]``.
        disagreement: ``[N]``.
    """

    classes: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float32]
    disagreement: npt.NDArray[np.float32]


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
    count, width = update.probabilities.shape
    origins = update.origins
    columns = [update.rows, update.disagreement, *(origins.columns() if origins is not None else ())]
    if any(column.shape != (count,) for column in columns):
        raise ValueError(f"{count} rows of probabilities, others of {sorted({len(column) for column in columns})}")
    if update.classes is not None and update.classes.shape != (count, width):
        raise ValueError(f"probabilities of {(count, width)}, classes of {update.classes.shape}")
    rows = np.empty(count, _whole(width) if update.classes is None else _short(width))
    rows["row"] = update.rows
    rows["position_sequence"] = position[1] if origins is None else origins.position_sequence
    rows["position_ms"] = position[0] if origins is None else origins.position_ms
    rows["applied_events"] = applied_events if origins is None else origins.applied_events
    if update.classes is not None:
        rows["classes"] = update.classes
    rows["probabilities"] = update.probabilities
    rows["disagreement"] = update.disagreement
    return rows.view(np.uint8).reshape(count, rows.dtype.itemsize)


def _whole(classes: int) -> np.dtype[np.void]:
    return np.dtype([*_HEADER_FIELDS, ("probabilities", "<f4", (classes,)), ("disagreement", "<f4")])


def _short(most: int) -> np.dtype[np.void]:
    return np.dtype(
        [*_HEADER_FIELDS, ("classes", "<u4", (most,)), ("probabilities", "<f4", (most,)), ("disagreement", "<f4")]
    )


def format_of(classes: int) -> int:
    """Number of the layout in which rows of so many classes are published."""
    return WHOLE_FORMAT if classes <= PUBLISHED_WHOLE else SHORT_FORMAT


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


class RowDecoder(Protocol):
    """Reads the rows of one version.

    Attributes:
        size: bytes of one row.
        held: probabilities in a row.
    """

    size: int
    held: int

    def decode(self, row: bytes) -> Row:
        """The prediction, with every class that the row holds."""

    def decode_top(self, row: bytes, top: int) -> Row:
        """The prediction, with its ``top`` most likely classes, the likeliest first; ties in the order of classes."""

    def ranked(self, rows: Sequence[bytes], top: int) -> Ranked:
        """The ``top`` most likely classes of many rows.

        Raises:
            ValueError: where a row has another size.
        """

    def all_of(self, rows: Sequence[bytes]) -> npt.NDArray[np.float32]:
        """Probabilities ``[N, held]`` of many rows, as they stand in them.

        Raises:
            ValueError: where a row has another size.
        """


class WholeRowDecoder:
    """Reads whole rows.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        self._struct = struct.Struct(f"<{_HEADER.size}x{classes + _OTHER_VALUES}f")
        self._all = range(classes)
        self.size = self._struct.size
        self.held = classes

    def decode(self, row: bytes) -> Row:
        """The prediction, with every class in its order.

        >>> WholeRowDecoder(2).decode(bytes(24) + struct.pack("<3f", 0.25, 0.75, 0.5))
        Row(classes=range(0, 2), probabilities=[0.25, 0.75], disagreement=0.5)
        """
        *probabilities, disagreement = self._struct.unpack(row)
        return Row(self._all, probabilities, disagreement)

    def decode_top(self, row: bytes, top: int) -> Row:
        """The prediction, with its ``top`` most likely classes, the likeliest first; ties in the order of classes.

        >>> WholeRowDecoder(2).decode_top(bytes(24) + struct.pack("<3f", 0.25, 0.75, 0.5), 1)
        Row(classes=[1], probabilities=[0.75], disagreement=0.5)
        """
        values = np.frombuffer(row, "<f4", offset=_HEADER.size)
        best = np.argsort(-values[:-1], kind="stable")[:top]
        return Row(best.tolist(), values[best].tolist(), float(values[-1]))

    def all_of(self, rows: Sequence[bytes]) -> npt.NDArray[np.float32]:
        """Probabilities ``[N, C]`` of many rows."""
        shares: npt.NDArray[np.float32] = self._columns(rows)["probabilities"]
        return shares

    def ranked(self, rows: Sequence[bytes], top: int) -> Ranked:
        """The ``top`` most likely classes of many rows."""
        values = self._columns(rows)
        shares = values["probabilities"]
        best = np.argsort(-shares, axis=1, kind="stable")[:, :top]
        return Ranked(best.astype(np.int32), np.take_along_axis(shares, best, axis=1), values["disagreement"])

    def _columns(self, rows: Sequence[bytes]) -> npt.NDArray[np.void]:
        return np.frombuffer(b"".join(rows), _whole(self.held))


class ShortRowDecoder:
    """Reads short rows."""

    size = _short(PUBLISHED_CLASSES).itemsize
    held = PUBLISHED_CLASSES
    _struct = struct.Struct(f"<{_HEADER.size}x{PUBLISHED_CLASSES}I{PUBLISHED_CLASSES}ff")

    def decode(self, row: bytes) -> Row:
        """The prediction, with the classes that the row holds, the likeliest first."""
        return self.decode_top(row, PUBLISHED_CLASSES)

    def decode_top(self, row: bytes, top: int) -> Row:
        """The prediction, with its ``top`` most likely classes, the likeliest first; ties in the order of classes."""
        values = self._struct.unpack(row)
        classes, shares = values[:PUBLISHED_CLASSES], values[PUBLISHED_CLASSES:-1]
        return Row(list(classes[:top]), list(shares[:top]), values[-1])

    def ranked(self, rows: Sequence[bytes], top: int) -> Ranked:
        """The ``top`` most likely classes of many rows."""
        values = self._columns(rows)
        classes, shares = values["classes"][:, :top].astype(np.int32), values["probabilities"][:, :top]
        return Ranked(classes, shares, values["disagreement"])

    def all_of(self, rows: Sequence[bytes]) -> npt.NDArray[np.float32]:
        """Probabilities ``[N, held]`` of many rows, the likeliest first."""
        shares: npt.NDArray[np.float32] = self._columns(rows)["probabilities"]
        return shares

    def _columns(self, rows: Sequence[bytes]) -> npt.NDArray[np.void]:
        return np.frombuffer(b"".join(rows), _short(PUBLISHED_CLASSES))
