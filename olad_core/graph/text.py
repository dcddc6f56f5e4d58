"""Strings as arrays, for checkpoints that hold nothing but arrays."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import numpy.typing as npt


def pack(strings: Iterable[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """UTF-8 bytes of all strings, and where each begins and the last one ends.

    >>> blob, offsets = pack(["é", "b"])
    >>> blob.tobytes().decode(), offsets.tolist()
    ('éb', [0, 2, 3])
    """
    strings = list(strings)
    offsets = np.zeros(len(strings) + 1, np.int64)
    # Encoding all strings as one takes a tenth of the time that encoding each of them does.
    terminated = np.frombuffer("\0".join([*strings, ""]).encode(), np.uint8)
    ends = np.flatnonzero(terminated == 0)
    if len(ends) == len(strings):
        offsets[1:] = ends - np.arange(len(strings))
        return terminated[terminated != 0], offsets
    # A string holds the terminator itself.
    encoded = [string.encode() for string in strings]
    np.cumsum([len(one) for one in encoded], out=offsets[1:])
    return np.frombuffer(bytearray(b"".join(encoded)), np.uint8), offsets


def unpack(blob: npt.NDArray[np.generic], offsets: npt.NDArray[np.generic]) -> list[str]:
    """The inverse of :func:`pack`."""
    text, ends = blob.tobytes(), offsets.tolist()
    return [text[start:end].decode() for start, end in pairwise(ends)]
