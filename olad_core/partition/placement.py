"""Which rank owns a node: a function of its id and the number of ranks alone."""

from __future__ import annotations

import numpy as np

from olad_core.graph.arrays import Int64s
from olad_core.graph.text_loops import Slices, hash_all

# Fixed, unlike the key of tables in memory: placement is the same in every process and release.
_KEY = np.zeros(2, np.uint64)


def owners(ids: Slices, ranks: int) -> Int64s:
    """The rank that owns each node: SipHash-1-3 of the id under a key of zeros, modulo the number of ranks.

    >>> from olad_core.graph.text import pack
    >>> from olad_core.graph.text_table import slices_of
    >>> owners(slices_of(*pack(["a", "b", "c", "d"])), 2).tolist()
    [1, 0, 0, 0]

    Args:
        ids: UTF-8.
        ranks: 1 or more.

    Returns:
        int64 ``[n]``, 0 to ``ranks - 1``.
    """
    hashes = np.empty(ids.length.size, np.uint64)
    hash_all(ids, _KEY, hashes)
    return (hashes % np.uint64(ranks)).astype(np.int64)
