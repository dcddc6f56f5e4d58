"""What one would write with PyG: the rows that are recomputed are those that a batch changes."""

from __future__ import annotations

import warnings

import pytest

from benchmarks.graphs import arxiv_shaped

with warnings.catch_warnings():
    # PyG's layers import their pooling, which uses what torch deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from benchmarks.peers import CONVOLUTIONS, SIZES, measure


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("architecture", CONVOLUTIONS)
def test_rows_around_a_batch_equal_full_recomputation(architecture: str, directed: bool) -> None:
    graph = arxiv_shaped(400, 600, features=5, classes=3)
    found = measure(graph, architecture, directed=directed, rounds=3)
    assert found["k_hop_greatest_difference"] < 1e-5
    assert all(found[f"times_{way}_at_{size}"] > 0 for way in ("k_hop", "full") for size in SIZES)
    assert 0 < found["k_hop_rows_at_1"] < 400
