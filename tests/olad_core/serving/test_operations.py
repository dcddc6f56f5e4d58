"""Both ways to do the operations of inference: what they compute, and that a GPU's way is that of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from olad_core.graph import Neighbours
from olad_core.serving import loops, tensors
from olad_core.serving.operations import Mixture, Operations, Rows
from olad_core.students.linear import Factors

CAPACITY, WIDTH, FIRST, COUNT = 60, 5, 3, 20


class Case:
    """Random arguments."""

    def __init__(self) -> None:
        self.draw = np.random.default_rng(7)
        self.rows: Rows = np.sort(self.draw.choice(CAPACITY, COUNT, replace=False))

    def floats(self, *shape: int) -> Tensor:
        return torch.from_numpy(self.draw.normal(size=shape).astype(np.float32))

    def near(self) -> Neighbours:
        """Some rows have no neighbours, some the same one twice."""
        indptr = np.append(0, np.cumsum(self.draw.integers(0, 6, size=COUNT)))
        index = self.draw.integers(CAPACITY, size=indptr[-1])
        return Neighbours(indptr, index, self.draw.random(indptr[-1]).astype(np.float32))

    def mixture(self) -> Mixture:
        factors = Factors(self.floats(CAPACITY), self.floats(CAPACITY), self.floats(CAPACITY))
        return Mixture(self.floats(CAPACITY, FIRST + WIDTH + 1), FIRST, WIDTH, factors)


@pytest.fixture(params=[loops, tensors])
def way(request: pytest.FixtureRequest) -> Operations:
    chosen: Operations = request.param
    return chosen


def test_mix_adds_up_a_row_and_its_neighbours(way: Operations) -> None:
    case = Case()
    mixture, near = case.mixture(), case.near()
    below, first, width, (own, total, sent) = mixture
    expected = []
    for place, row in enumerate(case.rows.tolist()):
        row_sum = torch.zeros(width, dtype=torch.float64)
        for edge in range(near.indptr[place], near.indptr[place + 1]):
            source = int(near.index[edge])
            row_sum += float(near.weight[edge]) * sent[source].double() * below[source, first : first + width].double()
        expected.append(own[row] * below[row, :width] + total[row] * row_sum.float())
    torch.testing.assert_close(way.mix(mixture, case.rows, near), torch.stack(expected))


def test_mix_of_a_row_does_not_depend_on_the_others(way: Operations) -> None:
    case = Case()
    mixture, near = case.mixture(), case.near()
    together = way.mix(mixture, case.rows, near)
    for place in range(COUNT):
        part = slice(near.indptr[place], near.indptr[place + 1])
        alone = Neighbours(np.array([0, part.stop - part.start]), near.index[part], near.weight[part])
        assert torch.equal(way.mix(mixture, case.rows[place : place + 1], alone)[0], together[place])


def test_exchange_writes_and_finds_what_differs(way: Operations) -> None:
    case = Case()
    layer, values = case.floats(CAPACITY, WIDTH), case.floats(COUNT, WIDTH)
    expected = layer.clone()
    expected[torch.from_numpy(case.rows)] = values
    same = [3, 7]
    values[same] = layer[torch.from_numpy(case.rows[same])]
    expected[torch.from_numpy(case.rows[same])] = values[same]
    changed = way.exchange(layer, case.rows, values)
    assert np.flatnonzero(~changed).tolist() == same
    assert torch.equal(layer, expected)
