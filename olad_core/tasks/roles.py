"""The roles of nodes as ends of edges, and what is counted of nodes by role."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

OUT, IN = range(2)
"""Roles of a node: source and target of an edge."""


def in_role(held: Doubles, rows: Rows, role: int) -> Doubles:
    """What is held of rows in a role, 0 for a row that is not there ``[n, ...]``.

    >>> in_role(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, -1, 9]), IN).tolist()
    [4.0, 0.0, 0.0]

    Args:
        held: by row and role ``[R, 2, ...]``.
        rows: ``[n]``.
        role: ``OUT`` or ``IN``.
    """
    there = (rows >= 0) & (rows < len(held))
    found = np.zeros((rows.size, *held.shape[2:]))
    found[there] = held[rows[there], role]
    return found
