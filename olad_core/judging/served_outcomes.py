"""What was served at each arrival and how it scored, one record a node: by these two variants are compared.

The records are an array of :data:`RECORD`, which is also what is stored. No torch is imported here: the API reads them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

RECORD = np.dtype(
    [
        ("arrival", "<u8"),
        ("time", "<f8"),
        ("truth", "<i4"),
        ("predicted", "<i4"),
        ("ranked_class", "<i4"),
        ("loss", "<f4"),
        ("ranked", "<f4"),
    ]
)
"""One scored node.

``arrival`` names it in every variant (:func:`arrival_keys`), ``time`` is when its label came, in seconds since 1970.
``truth`` and ``predicted`` are classes by number, ``loss`` is the log-loss. ``ranked`` is the probability of the class
``ranked_class``, that of a declared average precision; NaN and -1 without.
"""
OUTCOMES_KEPT = 10_000
"""Records that are kept of each variant, the newest."""

Records: TypeAlias = np.ndarray[Any, np.dtype[np.void]]
Rows: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

NO_RECORDS: Records = np.zeros(0, dtype=RECORD)
_NO_CLASS = -1


def arrival_keys(arrival: Rows, ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """What names the arrivals of nodes in all variants: the number of the arrival, and a checksum of the id.

    Two variants that read the same log number arrivals alike. Where one of them has passed an entry over, the
    checksums differ from there on, so no node is compared with another one.

    Args:
        arrival: numbers of the arrivals ``[n]``.
        ids: of the nodes, n.
    """
    sums = np.fromiter((zlib.crc32(name.encode()) for name in ids), dtype=np.uint64, count=len(arrival))
    return (arrival.astype(np.uint64) << np.uint64(32)) | sums


def records_of(
    truth: Rows, predicted: Rows, loss: npt.NDArray[np.float32], ranked: Floats | None, ranked_class: int | None
) -> Records:
    """Records of n nodes, still without their arrivals and times.

    Args:
        truth: classes ``[n]``.
        predicted: classes that were served ``[n]``.
        loss: log-loss ``[n]``.
        ranked: probabilities of the class that is ranked ``[n]``; None where none is.
        ranked_class: its number; None where none is.
    """
    records = np.zeros(len(truth), dtype=RECORD)
    records["truth"], records["predicted"], records["loss"] = truth, predicted, loss
    known = ranked is not None and ranked_class is not None
    records["ranked_class"] = ranked_class if known else _NO_CLASS
    records["ranked"] = ranked if known else np.nan
    return records


class NewestOutcomes:
    """The newest records that nobody has stored yet.

    Args:
        most: records, at most.
    """

    def __init__(self, most: int = OUTCOMES_KEPT) -> None:
        self._most = most
        self._parts: list[Records] = []
        self._count = 0

    def add(self, records: Records) -> None:
        """Take in further records, the newest last."""
        if not len(records):
            return
        self._parts.append(records[-self._most :])
        self._count += len(self._parts[-1])
        # Joined now and then, so that each record is copied twice at most, however few come at a time.
        if self._count >= 2 * self._most:
            self._parts = [self.records()]
            self._count = self._most

    def records(self) -> Records:
        """All of them, the oldest first."""
        return np.concatenate(self._parts)[-self._most :] if self._parts else NO_RECORDS

    def clear(self) -> None:
        """Forget them: they are stored."""
        self._parts, self._count = [], 0
