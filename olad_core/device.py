"""Transfer of numpy's arrays to the device that computes."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

LOOPED = frozenset({"cpu"})
"""Kinds of devices on whose memory compiled loops compute. Elsewhere the same is done by operations on tensors alone.

These read no value back and have no shape that depends on values: to wait for a value costs more than to compute it,
and what does neither can be recorded (:mod:`olad_core.learning.recorded`).
"""


def has_loops(tensor: Tensor) -> bool:
    """Whether compiled loops, and decisions by values, are the way to compute on a tensor.

    >>> has_loops(torch.zeros(3))
    True
    """
    return tensor.device.type in LOOPED


def to_device(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """A tensor of the array's values: on a CPU the same memory, on a GPU an asynchronous copy.

    The copy goes through pinned memory, which is kept for it until it has left.

    >>> import numpy as np
    >>> to_device(np.arange(3), torch.device("cpu"))
    tensor([0, 1, 2])
    """
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
