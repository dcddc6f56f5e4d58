from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from olad_core.messages.attention import _exponentiate, attend
from olad_core.students import Block
from olad_core.students.gat import SLOPE, Attention
from tests.olad_core.blocks import block_of, with_lonely_targets

NODES, HEADS, WIDTH = 9, 2, 6


@pytest.fixture
def adjacency() -> Tensor:
    return with_lonely_targets(NODES)


def prepared(dtype: torch.dtype = torch.float32) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randn(NODES, WIDTH + 2 * HEADS, dtype=dtype, generator=random).requires_grad_()


def found(block: Block, *, compiled: bool) -> tuple[Tensor, Tensor]:
    """What comes of attention, and its gradient, on a CPU or as on a GPU."""
    rows = prepared()
    result = attend(rows, HEADS, block, SLOPE) if compiled else Attention(WIDTH, HEADS).by_operations(rows, block)
    upstream = torch.randn(result.shape, generator=torch.Generator().manual_seed(2))
    (result * upstream).sum().backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None
    return result.detach(), rows.grad


@pytest.mark.parametrize("targets", [None, [4, 0], [2], [], [8, 7, 6, 5, 4, 3, 2, 1, 0], [6, 3, 3]])
def test_is_what_operations_on_tensors_give_with_their_gradient(adjacency: Tensor, targets: list[int] | None) -> None:
    block = block_of(adjacency, targets)
    for one, other in zip(found(block, compiled=True), found(block, compiled=False), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("targets", [None, [2], [6, 3, 3]])
def test_gradients_agree_with_finite_differences(adjacency: Tensor, targets: list[int] | None) -> None:
    block = block_of(adjacency.double(), targets)
    assert torch.autograd.gradcheck(lambda rows: attend(rows, HEADS, block, SLOPE), (prepared(torch.float64),))


def test_an_edge_that_weighs_as_much_as_a_number_can_leaves_the_others_nothing(adjacency: Tensor) -> None:
    block = block_of(adjacency, [0])
    weight = block.weight.clone()
    weight[0] = torch.finfo(torch.float32).max
    rows = prepared().detach()
    rows[:, :WIDTH] *= 1000
    heavy = attend(rows, HEADS, replace(block, weight=weight), SLOPE)
    torch.testing.assert_close(heavy[0], rows[block.sources[0], :WIDTH])


def test_exponentials_are_within_their_bound_and_the_same_wherever_they_stand() -> None:
    values = np.linspace(-87, 0, 100_003).astype(np.float32)
    together, alone = values.copy(), values[:300].copy()
    _exponentiate(together, len(together))
    assert np.abs(together / np.exp(values.astype(np.float64)) - 1).max() < 1e-7
    for at in range(len(alone)):
        _exponentiate(alone[at : at + 1], 1)
    assert alone.tobytes() == together[:300].tobytes()


def test_exponentials_far_below_are_next_to_nothing_and_of_no_number_no_number() -> None:
    values = np.array([-np.inf, -1e30, np.nan, 0], dtype=np.float32)
    _exponentiate(values, 4)
    assert values[0] == values[1] < 1e-37
    assert np.isnan(values[2])
    assert values[3] == 1
