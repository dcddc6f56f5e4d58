from dataclasses import replace

import pytest
import torch
from torch import Tensor

from olad_core.messages.aggregate import aggregate, segment_softmax
from olad_core.students import Block
from tests.olad_core.blocks import block_of, with_lonely_targets

NODES = 7


@pytest.fixture
def adjacency() -> Tensor:
    return with_lonely_targets(NODES).double()


def rows(width: int = 3) -> Tensor:
    return torch.randn(NODES, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("targets", [None, [4, 0], [2], [], [6, 5, 4, 3, 2, 1, 0]])
def test_is_the_product_with_the_dense_matrix(adjacency: Tensor, targets: list[int] | None) -> None:
    block = block_of(adjacency, targets)
    expected = adjacency[block.targets] @ rows()
    torch.testing.assert_close(aggregate(rows(), block.weight, block), expected)


def test_gradients_are_those_of_the_dense_product(adjacency: Tensor) -> None:
    block = block_of(adjacency, [5, 2, 0, 1])
    source, dense = rows().requires_grad_(), rows().requires_grad_()
    weight = block.weight.clone().requires_grad_()
    matrix = adjacency[block.targets].clone().requires_grad_()
    upstream = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (aggregate(source, weight, block) * upstream).sum().backward()  # type: ignore[no-untyped-call]
    ((matrix @ dense) * upstream).sum().backward()  # type: ignore[no-untyped-call]
    assert matrix.grad is not None
    torch.testing.assert_close(source.grad, dense.grad)
    torch.testing.assert_close(weight.grad, matrix.grad[block.target_of_edge, block.sources])


@pytest.mark.parametrize("targets", [None, [2], [6, 3, 3]])
def test_gradients_agree_with_finite_differences(adjacency: Tensor, targets: list[int] | None) -> None:
    block = block_of(adjacency, targets)
    inputs = rows(2).requires_grad_(), block.weight.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda source, weight: aggregate(source, weight, block), inputs)


def test_only_the_gradients_that_are_wanted_are_computed(adjacency: Tensor) -> None:
    block = block_of(adjacency)
    source = rows().requires_grad_()
    aggregate(source, block.weight, block).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(source.grad, adjacency.sum(dim=0)[:, None].expand(NODES, 3).contiguous())
    assert block.weight.grad is None


def test_an_edge_that_stands_twice_counts_twice() -> None:
    block = Block(torch.tensor([0]), torch.tensor([1, 1]), torch.tensor([0, 2]), torch.ones(2), torch.ones(2))
    source = torch.tensor([[1.0], [3.0]], requires_grad=True)
    total = aggregate(source, block.weight, block)
    total.sum().backward()  # type: ignore[no-untyped-call]
    assert total.tolist() == [[6.0]]
    assert source.grad is not None
    assert source.grad.tolist() == [[0.0], [2.0]]


class TestSegmentSoftmax:
    def test_is_the_softmax_of_each_targets_edges(self, adjacency: Tensor) -> None:
        block = block_of(adjacency)
        score = torch.randn(len(block.sources), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
        found = segment_softmax(score, block)
        for target in range(NODES):
            own = block.target_of_edge == target
            torch.testing.assert_close(found[own], score[own].softmax(dim=0))

    def test_bears_scores_of_any_size(self, adjacency: Tensor) -> None:
        block = block_of(adjacency)
        score = torch.linspace(-1e6, 1e6, len(block.sources), dtype=torch.float64).unsqueeze(1)
        found = segment_softmax(score, block)
        sums = torch.zeros(NODES, dtype=torch.float64).index_add(0, block.target_of_edge, found[:, 0])
        torch.testing.assert_close(sums, (adjacency > 0).any(dim=1).double())

    def test_of_no_edges_is_empty(self) -> None:
        block = block_of(torch.zeros(3, 3))
        assert segment_softmax(torch.empty(0, 2), block).shape == (0, 2)

    def test_has_the_right_gradients(self, adjacency: Tensor) -> None:
        block = block_of(adjacency)
        score = torch.randn(len(block.sources), 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda score: segment_softmax(score, block), (score,))


class TestBlock:
    def test_names_the_target_of_every_edge(self) -> None:
        # Node 0 receives from 1 with weight 3 and from 2 with weight 1; node 1 from 0 with weight 3; node 2 from none.
        adjacency = torch.tensor([[0.0, 3.0, 1.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
        block = block_of(adjacency)
        assert block.target_of_edge.tolist() == [0, 0, 1]

    def test_transposed_lists_the_edges_by_source(self) -> None:
        block = block_of(torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
        edges = block.transposed(4)
        assert block.sources[edges.order].tolist() == [1, 2, 2]
        assert edges.targets.tolist() == [0, 0, 1]
        assert edges.offsets.tolist() == [0, 0, 1, 3, 3]
        assert torch.equal(edges.weight, block.weight[edges.order])

    @pytest.mark.parametrize("leading", [True, False])
    def test_finds_the_targets_own_rows(self, leading: bool) -> None:
        block = replace(block_of(torch.zeros(5, 5), [0, 1, 2] if leading else [3, 0, 0]), leading=leading)
        assert torch.equal(block.own(rows()[:5]), rows()[block.targets])
