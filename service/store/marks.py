"""The bitmap of marks that stands beside a prediction table: which rows are of an earlier position than readers see."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from olad_core.serving.publication import MARKS_PER_BLOCK, MarkedBlocks
from service.store.transaction import Command

_BLOCK_BYTES = MARKS_PER_BLOCK // 8


def setrange_commands(key: str, blocks: MarkedBlocks) -> Iterator[Command]:
    r"""``SETRANGE key offset bits``, one for each run of blocks that follow each other.

    Args:
        key: of the bitmap.
        blocks: what changes in it, in any order, each block once.

    >>> empty = np.zeros((3, 512), np.uint8)
    >>> [(key, at, len(bits)) for _, key, at, bits in setrange_commands("k", MarkedBlocks(np.array([1, 2, 4]), empty))]
    [('k', 512, 1024), ('k', 2048, 512)]

    Raises:
        ValueError: where numbers and blocks do not fit each other.
    """
    if blocks.bits.shape != (len(blocks.first), _BLOCK_BYTES):
        raise ValueError(f"{len(blocks.first)} blocks but bits of shape {blocks.bits.shape}")
    order = np.argsort(blocks.first)
    numbers, bits = blocks.first[order], blocks.bits[order]
    ends = np.flatnonzero(np.diff(numbers) != 1) + 1
    for numbers_of_run, bits_of_run in zip(np.split(numbers, ends), np.split(bits, ends), strict=True):
        if len(numbers_of_run):
            yield "SETRANGE", key, int(numbers_of_run[0]) * _BLOCK_BYTES, bits_of_run.tobytes()


def marked_in(bitmap: bytes, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    r"""Whether the bit of each row is set; rows behind the bitmap's end are not marked.

    >>> marked_in(b"\x01\x80", np.array([0, 7, 8, 9, 16])).tolist()
    [False, True, True, False, False]
    """
    known = np.frombuffer(bitmap + b"\x00", np.uint8)
    found: npt.NDArray[np.bool_] = (known[np.minimum(rows >> 3, len(bitmap))] >> (7 - (rows & 7))) & 1 == 1
    return found
