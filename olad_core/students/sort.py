"""Sorting edges by their source, in one pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph.compiled import compiled

Int64s = npt.NDArray[np.int64]


def by_source(sources: Tensor, num_sources: int) -> tuple[Tensor, Tensor]:
    """Order of the edges by source ``[E]``, stable, and where each source's begin ``[num_sources + 1]``."""
    if sources.device.type != "cpu":
        counts = torch.bincount(sources, minlength=num_sources)
        return torch.argsort(sources, stable=True), torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    order, offsets = np.empty(len(sources), np.int64), np.zeros(num_sources + 1, np.int64)
    _counting_sort(sources.numpy(), np.zeros(num_sources, np.int64), order, offsets)
    return torch.from_numpy(order), torch.from_numpy(offsets)


@compiled
def _counting_sort(sources: Int64s, filled: Int64s, order: Int64s, offsets: Int64s) -> None:
    for at in range(sources.size):
        offsets[sources[at] + 1] += 1
    for source in range(filled.size):
        offsets[source + 1] += offsets[source]
    for at in range(sources.size):
        source = sources[at]
        order[offsets[source] + filled[source]] = at
        filled[source] += 1
