from __future__ import annotations

import numpy as np
import pytest

from olad_core.partition import run_in_lockstep
from olad_core.partition.share_thresholds import thresholds_over_ranks
from olad_core.tasks.label_rule import share_threshold


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_a_threshold_is_that_of_all_nodes_at_one_place(ranks: int) -> None:
    draw = np.random.default_rng(0)
    probabilities = draw.random((301, 3)).astype(np.float32) ** 8
    probabilities[::5, 1] = 0.25
    probabilities[:40, 2] = 0
    shares = {"rare": 0.01, "equal": 0.5, "none": 0.0001}
    parts = np.array_split(probabilities[:, [0, 1, 2]], ranks)
    found = run_in_lockstep([thresholds_over_ranks(part, shares, rank, ranks) for rank, part in enumerate(parts)])
    expected = {name: share_threshold(probabilities[:, at], share) for at, (name, share) in enumerate(shares.items())}
    assert found == [expected] * ranks


def test_a_rank_may_have_no_node_and_so_may_all() -> None:
    nothing = np.empty((0, 1), np.float32)
    one = np.array([[0.75]], np.float32)
    works = [thresholds_over_ranks(part, {"a": 0.1}, rank, 2) for rank, part in enumerate((nothing, one))]
    assert run_in_lockstep(works) == [{"a": 0.75}] * 2
    assert run_in_lockstep([thresholds_over_ranks(nothing, {"a": 0.1}, rank, 2) for rank in range(2)]) == [{}, {}]
