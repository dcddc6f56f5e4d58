"""Memory for copies of a state, kept from one copy to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

SPARE = 1.25
"""The buffers are so many times as large as what is copied, so that a growing state seldom outgrows them."""
_MOST_SPARE = 8
"""Memory for more than so many times what is to be copied is given back."""
_FEWEST = 2**18
"""Numbers whose memory is kept, however few of them are used."""


class CopyBuffers:
    """Holds one copy of a mapping of tensors, in CPU memory.

    Memory that the system has to hand out first makes a copy several times slower. So it is taken, and touched, apart
    from the copying: :meth:`make` may run in another thread, while the state goes on changing.

    >>> buffers, state = CopyBuffers(), {"a": torch.arange(3)}
    >>> buffers.holds(state)
    False
    >>> buffers.make(state)
    >>> buffers.holds(state)
    True
    >>> copy = buffers.copy(state)
    >>> state["a"][0] = 7
    >>> copy["a"].tolist()
    [0, 1, 2]
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def holds(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether these can be copied without taking memory."""
        return all(self._fits(name, tensor) for name, tensor in tensors.items())

    def make(self, tensors: Mapping[str, Tensor]) -> None:
        """Take memory for a copy of these and some more; what was copied before is gone. Nothing of them is read."""
        for name, tensor in tensors.items():
            if not self._fits(name, tensor):
                self._buffers.pop(name, None)
                size = math.ceil(SPARE * tensor.numel())
                # Writing to it is what takes it: untouched pages are none.
                self._buffers[name] = torch.empty(size, dtype=tensor.dtype).fill_(0)

    def copy(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A copy, in place of the one before; memory that is missing is taken."""
        self.make(tensors)
        copies = {name: self._buffers[name][: tensor.numel()].view(tensor.shape) for name, tensor in tensors.items()}
        for name, tensor in tensors.items():
            copies[name].copy_(tensor)
        return copies

    def _fits(self, name: str, tensor: Tensor) -> bool:
        buffer = self._buffers.get(name)
        most = max(_FEWEST, _MOST_SPARE * tensor.numel())
        return buffer is not None and buffer.dtype == tensor.dtype and tensor.numel() <= buffer.numel() <= most
