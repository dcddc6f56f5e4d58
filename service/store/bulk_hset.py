"""The commands that write prediction rows to Redis, built in bulk: no step here is taken once for every row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

ROWS_PER_COMMAND = 10_000
"""Redis collects a command whole before it runs it, and takes a million arguments at most."""

Bytes = npt.NDArray[np.uint8]


def hset_commands(key: str, nodes: Sequence[str], rows: Bytes) -> Iterator[bytes]:
    r"""``HSET key node row ...`` in Redis' wire format, one or more commands; their order of rows is their own.

    Rows whose ids have equally many bytes look alike on the wire but for ids and values, so all of them are
    one array that is filled by columns.

    Args:
        key: of the hash.
        nodes: ids, any text, each one once.
        rows: their bytes, uint8 ``[len(nodes), any]``.

    >>> next(hset_commands("k", ["a"], np.array([[7, 0]], np.uint8)))
    b'*4\r\n$4\r\nHSET\r\n$1\r\nk\r\n$1\r\na\r\n$2\r\n\x07\x00\r\n'

    Raises:
        ValueError: where nodes and rows do not fit each other.
    """
    if rows.shape[:1] != (len(nodes),):
        raise ValueError(f"{len(nodes)} nodes but rows of shape {rows.shape}")
    for length, places, ids in _by_length(nodes):
        for first in range(0, len(places), ROWS_PER_COMMAND):
            part = slice(first, first + ROWS_PER_COMMAND)
            yield _hset(key, length, ids[part], rows[places[part]])


def _by_length(nodes: Sequence[str]) -> Iterator[tuple[int, npt.NDArray[np.int64], Bytes]]:
    """For every length of an id in bytes: that length, the places of its nodes, and their ids ``[n, length]``."""
    text = "".join(nodes).encode()
    lengths = np.fromiter(map(len, nodes), np.int64, len(nodes))
    if len(text) != lengths.sum():
        lengths = np.fromiter((len(node.encode()) for node in nodes), np.int64, len(nodes))
    blob, starts = np.frombuffer(text, np.uint8), np.cumsum(lengths) - lengths
    for length in np.unique(lengths).tolist():
        places = np.flatnonzero(lengths == length)
        yield length, places, blob[starts[places, None] + np.arange(length)]


def _hset(key: str, length: int, ids: Bytes, values: Bytes) -> bytes:
    name = key.encode()
    head = b"*%d\r\n$4\r\nHSET\r\n$%d\r\n%b\r\n" % (2 + 2 * len(ids), len(name), name)
    before, between, after = b"$%d\r\n" % length, b"\r\n$%d\r\n" % values.shape[1], b"\r\n"
    pieces = (_bytes(before), ids, _bytes(between), values, _bytes(after))
    lines = np.empty((len(ids), sum(piece.shape[-1] for piece in pieces)), np.uint8)
    column = 0
    for piece in pieces:
        lines[:, column : column + piece.shape[-1]] = piece
        column += piece.shape[-1]
    return head + lines.tobytes()


def _bytes(text: bytes) -> Bytes:
    return np.frombuffer(text, np.uint8)
