"""The operations of inference with tensors, for devices on which a loop over rows would be the slow way."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from olad_core.device import to_device
from olad_core.graph import Neighbours
from olad_core.serving.operations import Bools, Float32s, Mixture, Rows


def mix(mixture: Mixture, rows: Rows, near: Neighbours) -> Tensor:
    """See :class:`~olad_core.serving.operations.Operations`."""
    below, first, width, (own, total, sent) = mixture
    source, itself = _on(near.index, below), _on(rows, below)
    terms = below[:, first : first + width].index_select(0, source).double()
    terms *= (sent[source] * _on(near.weight, below)).unsqueeze(1)
    target = np.repeat(np.arange(len(rows)), np.diff(near.indptr))
    sums = terms.new_zeros(len(rows), width).index_add_(0, _on(target, below), terms).float()
    mixed = below[:, :width].index_select(0, itself) * own[itself].unsqueeze(1)
    return mixed.addcmul_(sums, total[itself].unsqueeze(1))


def exchange(layer: Tensor, rows: Rows, values: Tensor) -> Bools:
    """See :class:`~olad_core.serving.operations.Operations`."""
    index = _on(rows, layer)
    changed: Bools = (values != layer[index]).any(dim=1).cpu().numpy()
    layer[index] = values
    return changed


def _on(values: Rows | Float32s, like: Tensor) -> Tensor:
    return to_device(values, like.device)
