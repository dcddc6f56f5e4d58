"""The operations of inference with tensors, for devices on which a loop over rows would be the slow way."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from olad_core.device import to_device
from olad_core.graph import Neighbours
from olad_core.serving.operations import Bools, Float32s, Messages, Rows


def send(totals: Tensor, near: Neighbours, messages: Messages, limit: int) -> None:
    """See :class:`~olad_core.serving.operations.Operations`."""
    now = _columns(messages.layer, messages.rows, messages.first, totals) * messages.factor.unsqueeze(1)
    sender = np.repeat(np.arange(len(messages.rows)), np.diff(near.indptr))
    _add(totals, near.index, near.weight, now - _before(totals, messages), sender, limit)


def send_arcs(totals: Tensor, target: Rows, weight: Float32s, messages: Messages, limit: int) -> None:
    """See :class:`~olad_core.serving.operations.Operations`."""
    _add(totals, target, weight, _before(totals, messages), np.arange(len(target)), limit)


def sum_up(totals: Tensor, rows: Rows, near: Neighbours, layer: Tensor, first: int, factor: Tensor) -> None:
    """See :class:`~olad_core.serving.operations.Operations`."""
    sent = _columns(layer, near.index, first, totals).double()
    terms = sent * (factor[_on(near.index, totals)] * _on(near.weight, totals)).unsqueeze(1)
    target = np.repeat(np.arange(len(rows)), np.diff(near.indptr))
    exact = terms.new_zeros(len(rows), totals.shape[1]).index_add_(0, _on(target, totals), terms)
    totals[_on(rows, totals)] = exact.float()


def mix(below: Tensor, totals: Tensor, rows: Rows, own: Tensor, total: Tensor) -> Tensor:
    """See :class:`~olad_core.serving.operations.Operations`."""
    index = _on(rows, totals)
    mixed = _columns(below, rows, 0, totals) * own[index].unsqueeze(1)
    return mixed.addcmul_(totals[index], total[index].unsqueeze(1))


def exchange(layer: Tensor, rows: Rows, values: Tensor) -> tuple[Tensor, Bools]:
    """See :class:`~olad_core.serving.operations.Operations`."""
    index = _on(rows, layer)
    before = layer[index]
    layer[index] = values
    return before, (values != before).any(dim=1).cpu().numpy()


def _before(totals: Tensor, messages: Messages) -> Tensor:
    """What was sent before: ``[n, w]``."""
    sent = _columns(messages.layer, messages.rows, messages.first, totals)
    found = np.flatnonzero(messages.place >= 0)
    sent[_on(found, totals)] = _columns(messages.before, messages.place[found], messages.first, totals)
    return sent * messages.factor_before.unsqueeze(1)


def _columns(layer: Tensor, rows: Rows, first: int, totals: Tensor) -> Tensor:
    return layer[:, first : first + totals.shape[1]].index_select(0, _on(rows, totals))


def _add(totals: Tensor, target: Rows, weight: Float32s, message: Tensor, sender: Rows, limit: int) -> None:
    kept = np.flatnonzero(target < limit)
    terms = message[_on(sender[kept], totals)] * _on(weight[kept], totals).unsqueeze(1)
    totals.index_add_(0, _on(target[kept], totals), terms)


def _on(values: Rows | Float32s, like: Tensor) -> Tensor:
    return to_device(values, like.device)
