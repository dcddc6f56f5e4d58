"""The model of larger machines, on cases done by hand, and what it counts against the ranks themselves."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import astuple
from typing import Any

import pytest

from benchmarks.partition_model import MEASURED, Compute, Measured, Network, fan_of, fitted, receivers, turn
from olad_core.events import Event, UpsertEdge, UpsertNode
from olad_core.partition import Partition, run_in_lockstep
from olad_core.students import build_student


def test_a_row_goes_to_each_rank_that_has_a_reader_of_it() -> None:
    assert receivers(2, 1) == pytest.approx(0.5)
    assert receivers(4, 2) == pytest.approx(3 * (1 - 9 / 16))
    assert receivers(64, 1e6) == pytest.approx(63)


def test_the_readers_of_a_row_are_found_from_what_two_and_four_ranks_send() -> None:
    # 2 readers: 0.75 ranks of 2, 1.3125 of 4.
    assert fan_of(Measured(1, Compute(1, 1, 1, 1), 750, 1312.5)) == pytest.approx(2)


def test_seconds_are_divided_into_those_of_each_rank_and_those_that_ranks_share() -> None:
    true = Compute(2.0, 6.0, 0.5, 3.0)
    points = [(ranks, batch, true.seconds(ranks, batch) * ranks / batch) for ranks in (1, 2, 4) for batch in (1, 20)]
    assert list(astuple(fitted(points))) == pytest.approx(list(astuple(true)))


def test_a_turn_by_hand() -> None:
    measured = Measured(0.01, Compute(0.002, 0.004, 0.0001, 0.008), bytes_of_two=750, bytes_of_four=1312.5)
    found = turn(measured, Network(gbit=10, latency_s=1e-4, message_s=1e-5), ranks=4, batch=100)
    assert found.compute_s == pytest.approx(0.002 + 0.001 + 100 * (0.0001 + 0.002))
    # 1,312.5 bytes an update, a quarter of them by each rank, at 1.25 GB/s.
    assert found.bytes_s == pytest.approx(100 * 1312.5 / 4 / 1.25e9, rel=1e-6)
    # 3 exchanges of the entry and 4 of the turn, in two parts, each to 3 others.
    assert found.waiting_s == pytest.approx(14 * (1e-4 + 3e-5))
    assert found.seconds == pytest.approx(0.213 + 2.625e-5 + 0.00182)


def test_an_entry_has_as_many_exchanges_as_the_model_counts() -> None:
    parts = [Partition(rank, 2) for rank in range(2)]
    for part in parts:
        part.serve([build_student("gcn", 2, 4, 4, seed=1)], 2)
    counts = [0, 0]

    def counted(rank: int, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        records = None
        while True:
            try:
                sent = steps.send(records)
            except StopIteration as end:
                return end.value
            counts[rank] += 1
            records = yield sent

    events: list[Event] = [UpsertNode("a", [0.0, 1.0]), UpsertNode("b", [1.0, 0.0]), UpsertEdge("a", "b")]
    run_in_lockstep([counted(rank, part.apply(events, 0.0)) for rank, part in enumerate(parts)])
    assert counts == [MEASURED.exchanges] * 2
