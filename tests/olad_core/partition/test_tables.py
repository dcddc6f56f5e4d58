"""Tables of a part: rows by number, places of owned rows, neighbours by number."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.graph import Neighbours
from olad_core.partition.ordered import by_number, owners_of
from olad_core.partition.places import OwnPlaces
from olad_core.partition.rows_by_number import RowsByNumber


@pytest.mark.parametrize("seed", range(3))
def test_rows_are_found_by_their_numbers_while_nodes_come_and_go(seed: int) -> None:
    draw = np.random.default_rng(seed)
    number, expected, table = np.full(400, -1), dict[int, int](), RowsByNumber()
    for first in range(0, 6000, 100):
        leaving = draw.permutation([*expected.values()])[: int(draw.integers(0, 100))].astype(np.int64)
        table.remove(np.concatenate([leaving, leaving]), number)
        expected = {each: row for each, row in expected.items() if row not in set(leaving.tolist())}
        free = draw.permutation(np.setdiff1d(np.arange(400), [*expected.values()]))[:60]
        number[free] = first + draw.permutation(100)[: free.size]
        table.enter(free, number)
        table.enter(free, number)
        expected |= dict(zip(number[free].tolist(), free.tolist(), strict=True))
        wanted = np.arange(first + 100)
        assert table.find(wanted, number).tolist() == [expected.get(each, -1) for each in wanted.tolist()]


def test_places_are_given_out_again() -> None:
    places = OwnPlaces()
    places.give(np.array([3, 5, 7]), 10)
    places.give(np.array([5]), 10)
    assert places.of.tolist() == [-1, -1, -1, 0, -1, 1, -1, 2, -1, -1]
    places.take(np.array([5, 4]))
    places.give(np.array([11, 12]), 20)
    assert (places.of[[3, 7]].tolist(), sorted(places.of[[11, 12]].tolist()), places.end) == ([0, 2], [1, 3], 4)


@pytest.mark.parametrize("degree", [0, 1, 2, 5, 30, 700])
def test_neighbours_of_each_group_are_by_number(degree: int) -> None:
    draw = np.random.default_rng(degree)
    number = draw.permutation(1000)
    groups = np.array([0, degree, degree, 2 * degree])
    index = np.concatenate([draw.permutation(1000)[:degree] for _ in range(2)])
    near = Neighbours(groups[[0, 3]], index, index.astype(np.float32), groups, index[:, None].astype(np.float32))
    found = by_number(near, number)
    for piece in (slice(0, degree), slice(degree, 2 * degree)):
        assert number[found.index[piece]].tolist() == sorted(number[index[piece]].tolist())
    assert found.x is not None
    assert found.weight.tolist() == found.index.tolist() == found.x[:, 0].tolist()


def test_owners_of_neighbours() -> None:
    near = Neighbours(np.array([0, 2, 2, 3]), np.array([0, 1, 2]), np.ones(3, np.float32))
    owner = np.array([2, 0, 1], np.int16)
    assert owners_of(near, owner, 3).tolist() == [[True, False, True], [False] * 3, [False, True, False]]
