"""Weighted sums of messages for all rows of one layer, kept up by sending differences.

The idea is that of RIPPLE (Naman & Simmhan, "Ripple: Scalable Incremental GNN Inferencing on Large Streaming
Graphs"): with ``S = W M``, a change of messages and weights changes the sums by
``W_new (M_new - M_old) + (W_new - W_old) M_old``, which costs what changed and not what stayed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph import Neighbours
from olad_core.graph.compiled import compiled

Rows = npt.NDArray[np.int64]
Float32s = npt.NDArray[np.float32]


def send(totals: Tensor, near: Neighbours, change: Tensor, limit: int) -> None:
    """Add ``w * change[s]`` to the total of every out-neighbour of sender ``s`` below row ``limit``.

    Args:
        totals: float32 ``[capacity, d]``, changed in place.
        near: out-neighbours of the n senders.
        change: ``[n, d]``, difference of each sender's message.
        limit: rows from here on stay as they are.
    """
    if totals.device.type == "cpu":
        _send(totals.numpy(), near.indptr, near.index, near.weight, change.numpy(), limit)
        return
    sender = torch.repeat_interleave(
        torch.arange(len(near.indptr) - 1), torch.from_numpy(np.diff(near.indptr)), output_size=len(near.index)
    )
    _index_add(totals, near.index, near.weight, change, sender.numpy(), limit)


def send_arcs(totals: Tensor, target: Rows, weight: Float32s, message: Tensor, sender: Rows, limit: int) -> None:
    """Add ``weight[a] * message[sender[a]]`` to the total of every arc's target below row ``limit``."""
    if totals.device.type == "cpu":
        _send_arcs(totals.numpy(), target, weight, message.numpy(), sender, limit)
    else:
        _index_add(totals, target, weight, message, sender, limit)


def _index_add(totals: Tensor, target: Rows, weight: Float32s, message: Tensor, sender: Rows, limit: int) -> None:
    """The same on a GPU, where a compiled loop over rows would be the slow way."""
    kept = target < limit
    device = totals.device
    terms = message[torch.from_numpy(sender[kept]).to(device)]
    terms = terms * torch.from_numpy(weight[kept]).to(device).unsqueeze(1)
    totals.index_add_(0, torch.from_numpy(target[kept]).to(device), terms)


@compiled
def _send(totals: Float32s, indptr: Rows, index: Rows, weight: Float32s, change: Float32s, limit: int) -> None:
    for sender in range(indptr.size - 1):
        for at in range(indptr[sender], indptr[sender + 1]):
            target = index[at]
            if target < limit:
                for column in range(totals.shape[1]):
                    totals[target, column] += weight[at] * change[sender, column]


@compiled
def _send_arcs(totals: Float32s, target: Rows, weight: Float32s, message: Float32s, sender: Rows, limit: int) -> None:
    for at in range(target.size):
        if target[at] < limit:
            for column in range(totals.shape[1]):
                totals[target[at], column] += weight[at] * message[sender[at], column]
