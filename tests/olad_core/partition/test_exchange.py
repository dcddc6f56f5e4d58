from __future__ import annotations

import numpy as np
import pytest

from olad_core.graph.text import pack
from olad_core.graph.text_table import slices_of
from olad_core.partition.exchange import Outgoing, OutOfStep, Superstep, Traffic, by_rank, run_in_lockstep, to_all
from olad_core.partition.placement import owners


def test_placement_is_fixed_and_even() -> None:
    ids = slices_of(*pack(str(node) for node in range(10_000)))
    # Nodes stay where they are from one release to the next.
    assert owners(ids, 4)[:12].tolist() == FIRST_TWELVE
    for ranks in (1, 2, 3, 4, 64):
        counts = np.bincount(owners(ids, ranks), minlength=ranks)
        assert counts.size == ranks
        assert counts.min() > 0.7 * 10_000 / ranks


FIRST_TWELVE = [2, 1, 1, 2, 0, 0, 2, 2, 3, 1, 0, 3]


def _sums(rank: int, ranks: int) -> Superstep[list[int]]:
    received = yield to_all("own", np.array([rank]), rank, ranks)
    first = sum(int(records.sum()) for records in received)
    numbers = np.arange(3 * ranks)
    received = yield by_rank("by rank", numbers, numbers % ranks, ranks)
    return [first, *np.concatenate(received).tolist()]


def test_records_reach_the_rank_that_they_are_for_in_order() -> None:
    traffic = Traffic()
    outcomes = run_in_lockstep([_sums(rank, 2) for rank in range(2)], traffic)
    assert outcomes == [[1, 0, 2, 4, 0, 2, 4], [0, 1, 3, 5, 1, 3, 5]]
    assert traffic.records == {"own": 2, "by rank": 12}
    assert traffic.size == {"own": 16, "by rank": 96}


def _other(_: int) -> Superstep[None]:
    yield Outgoing("another", [np.empty(0)] * 2)


def test_ranks_that_are_out_of_step_are_found() -> None:
    with pytest.raises(OutOfStep, match="another, own"):
        run_in_lockstep([_sums(0, 2), _other(1)])
