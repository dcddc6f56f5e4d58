"""Sampling: distinct, uniform, repeatable."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from olad_core.events import UpsertEdge
from olad_core.graph import DynamicGraph


def star(leaves: int, *, directed: bool = False) -> DynamicGraph:
    graph = DynamicGraph(directed=directed)
    graph.apply([UpsertEdge(src=f"n{i}", dst="hub", weight=i + 1.0) for i in range(leaves)], time=0.0)
    return graph


def test_every_set_of_neighbours_is_drawn_equally_often() -> None:
    graph = star(6)
    draws = 20_000
    sample = graph.sample_in_neighbours(np.repeat(graph.rows(["hub"]), draws), 3, seed=1)
    sets = Counter(frozenset(three.tolist()) for three in sample.index.reshape(draws, 3))
    assert len(sets) == 20
    assert all(len(three) == 3 for three in sets)
    # 1000 expected, with a standard deviation of 31.
    assert all(850 < count < 1150 for count in sets.values())


def test_a_sample_is_a_subset_with_its_weights() -> None:
    graph = star(5000, directed=True)
    sample = graph.sample_in_neighbours(graph.rows(["hub", "n3"]), 1000, seed=-7)
    assert sample.indptr.tolist() == [0, 1000, 1000]
    assert len(set(sample.index.tolist())) == 1000
    names = graph.ids(sample.index)
    assert sample.weight.tolist() == [int(name[1:]) + 1.0 for name in names]


def test_all_neighbours_come_where_there_are_no_more_than_asked_for() -> None:
    graph = star(4)
    rows = graph.rows(["n0", "hub", "n1"])
    everything = graph.in_neighbours(rows)
    sample = graph.sample_in_neighbours(rows, 4, seed=0)
    assert sample.indptr.tolist() == everything.indptr.tolist() == [0, 1, 5, 6]
    assert sample.index.tolist() == everything.index.tolist()
    assert sample.weight.tolist() == everything.weight.tolist()


def test_the_seed_decides() -> None:
    graph = star(1000)
    hub = graph.rows(["hub"])
    first, again, other = (graph.sample_in_neighbours(hub, 10, seed).index.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_fanout_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        star(1).sample_in_neighbours(np.array([0]), 0, seed=1)
