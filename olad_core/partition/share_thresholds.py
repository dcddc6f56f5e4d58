"""Thresholds that shares of the nodes are, found by all ranks: exactly, from counts alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from olad_core.graph.arrays import Float32s
from olad_core.partition.exchange import Superstep, to_all

_BYTES = (24, 16, 8, 0)
"""The bytes of a float32, the highest first. Positive ones are ordered as their bits are."""


def thresholds_over_ranks(
    probabilities: Float32s, shares: Mapping[str, float], rank: int, ranks: int
) -> Superstep[dict[str, float]]:
    """The probability that so great a share of the nodes of all ranks reaches, by class; at least one node does.

    Each byte of a threshold takes one exchange: how many nodes have which byte there, among those that have the bytes
    above it. So nothing is sent that grows with the graph.

    Args:
        probabilities: of this rank's nodes ``[n, S]``, one column for each share, finite.
        shares: by class, each between 0 and 1.
        rank: this one.
        ranks: how many there are.

    Returns:
        As :func:`~olad_core.tasks.label_rule.share_threshold` has each of them; empty where no rank has a node.
    """
    # Adding zero makes a positive zero of a negative one.
    bits = (np.asarray(probabilities, np.float32) + np.float32(0)).view(np.uint32)
    columns = np.arange(len(shares))
    prefix, below = np.zeros(len(shares), np.uint32), np.zeros(len(shares), np.int64)
    for shift in _BYTES:
        shown = (bits.astype(np.uint64) >> np.uint64(shift + 8)) == (prefix.astype(np.uint64) >> np.uint64(shift + 8))
        byte = (bits >> np.uint32(shift)) & np.uint32(0xFF)
        own = np.stack([np.bincount(byte[shown[:, at], at], minlength=256) for at in columns.tolist()]).ravel()
        received = list((yield to_all("probabilities by their bytes", own, rank, ranks)))
        received[rank] = own
        counts = np.sum(received, axis=0).reshape(len(shares), 256).cumsum(axis=1)
        if shift == _BYTES[0]:
            nodes = int(counts[0, -1])
            if not nodes:
                return {}
            below = np.array([nodes - max(1, int(share * nodes)) for share in shares.values()])
        found = (counts <= below[:, None]).sum(axis=1)
        below -= np.where(found > 0, counts[columns, found - 1], 0)
        prefix |= found.astype(np.uint32) << np.uint32(shift)
    return dict(zip(shares, prefix.view(np.float32).tolist(), strict=True))
