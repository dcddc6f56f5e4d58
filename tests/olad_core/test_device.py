from __future__ import annotations

import numpy as np
import pytest
import torch

from olad_core.device import to_device


def test_a_cpu_uses_the_memory_there_is() -> None:
    array = np.arange(4.0)
    tensor = to_device(array, torch.device("cpu"))
    array[0] = 9
    assert tensor.tolist() == [9, 1, 2, 3]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_gets_what_the_array_held() -> None:
    array = np.arange(1_000_000)
    tensor = to_device(array, torch.device("cuda"))
    array[:] = 0
    assert torch.equal(tensor.cpu(), torch.arange(1_000_000))
