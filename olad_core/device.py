"""Transfer of numpy's arrays to the device that computes."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor


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
